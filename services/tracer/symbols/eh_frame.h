// Reads the code ranges described by an .eh_frame section. Pure function,
// thread-safe. It evaluates unwind rules only as far as the first byte of each
// range; it is not an unwinder.

#ifndef SERVICES_TRACER_SYMBOLS_EH_FRAME_H_
#define SERVICES_TRACER_SYMBOLS_EH_FRAME_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::symbols {

// `bytes` starts at the link-time address `vaddr` and may extend past the end
// of the section: reading stops at the terminator. Damaged entries end the
// result early. Sorted by offset, starts are unique.
std::vector<CodeRange> ReadEhFrame(absl::Span<const uint8_t> bytes, uint64_t vaddr);

// The address of .eh_frame given by an .eh_frame_hdr at `vaddr`, or 0.
uint64_t EhFrameAddress(absl::Span<const uint8_t> header, uint64_t vaddr);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_EH_FRAME_H_
