// Names outside of ASCII as Rust writes them in symbols (RFC 3492, with "_" for
// "-"). Pure functions, thread-safe.

#ifndef SERVICES_TRACER_SYMBOLS_PUNYCODE_H_
#define SERVICES_TRACER_SYMBOLS_PUNYCODE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"

namespace flightrec::symbols {

// UTF-8; none when it is not punycode or longer than kMaxPunycode.
inline constexpr size_t kMaxPunycode = 1024;
absl::optional<std::string> DecodePunycode(absl::string_view text);

// False: not a code point of Unicode; nothing is appended.
bool AppendUtf8(uint32_t code_point, std::string& text);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_PUNYCODE_H_
