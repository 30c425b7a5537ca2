// Unwind information for stubs: how an unwinder in the traced process gets from
// a hooked function to its caller. While the function runs, rbx points to its
// shadow entry, which holds the return address and the caller's rbx.
//
// Pure functions, thread-safe. Not for debuggers outside the process.
#ifndef SERVICES_TRACER_STUB_UNWIND_TABLE_H_
#define SERVICES_TRACER_STUB_UNWIND_TABLE_H_

#include <cstdint>
#include <vector>

#include "services/tracer/stub/stub.h"

namespace flightrec::stub {

// Addresses in the traced process of the parts of a table.
struct UnwindTable {
  std::vector<uint8_t> bytes;
  uint64_t stub_fde = 0;         // exact at every instruction of a stub
  uint64_t callee_fde = 0;       // for a byte of code that finds the stack as a callee does
  uint64_t eh_frame_header = 0;  // finds an FDE right for return addresses
  uint64_t entry_thunk_fde = 0;  // thunks have their own
  uint64_t exit_thunk_fde = 0;
};

// For stubs in [low, high) with these places, within +-2 GiB of `address`. The thunks' FDEs hold
// for kThunkBytes from their starts, which are not stated in them.
inline constexpr uint64_t kThunkBytes = 256;
UnwindTable EmitUnwindTable(uint64_t address, uint64_t low, uint64_t high,
                            const StubPlaces& places);

}  // namespace flightrec::stub

#endif  // SERVICES_TRACER_STUB_UNWIND_TABLE_H_
