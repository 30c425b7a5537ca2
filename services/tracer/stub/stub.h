// Machine code of the stub in front of one hooked function. thunk.h has what its
// slow parts call.
//
// Pure functions, thread-safe; they write into no process. All stubs of one
// geometry have the same size and the same offsets (StubPlaces), so that one
// piece of unwind information fits all of them.
#ifndef SERVICES_TRACER_STUB_STUB_H_
#define SERVICES_TRACER_STUB_STUB_H_

#include <cstdint>
#include <vector>

namespace flightrec::stub {

// What is the same for all stubs of a process. The last four choose the code.
struct LaneGeometry {
  int32_t shared_distance = 0;  // from a ShadowEntry to its OpenCallEntry
  uint32_t ring_offset = 0;     // from a SlotControl to its ring
  uint32_t ring_bytes = 0;
  uint64_t clock_line = 0;          // address of the coarse clock; 0: the time stamp counter
  uint64_t min_duration_ticks = 0;  // shorter calls are counted only
  bool limits_calls = false;        // calls beyond SlotControl::call_limit are counted only
  uint32_t filtered_offset = 0;     // from a SlotControl to its filtered counters
};

// Addresses are addresses in the traced process.
struct StubSpec {
  uint64_t address = 0;
  uint64_t function_id = 0;
  uint32_t function_index = 0;  // < 2^31
  uint64_t relocated = 0;       // the function without its hook
  uint64_t entry_thunk = 0;
  uint64_t exit_thunk = 0;
};

// Offsets in a stub, for unwind information and tests.
struct StubPlaces {
  uint32_t pushed_rbx = 0;  // behind the instruction, as all of these
  uint32_t pushed_rax = 0;
  uint32_t pushed_rdx = 0;
  uint32_t popped_rdx = 0;
  uint32_t popped_rax = 0;
  uint32_t call = 0;         // the call of the relocated function itself
  uint32_t returned = 0;     // where the function returns to
  uint32_t made_room = 0;    // for the return address
  uint32_t pushed_last = 0;  // all four pushes of the exit
  uint32_t restored_rbx = 0;
  uint32_t exit_pops = 0;       // the first of four
  uint32_t exit_kept = 0;       // what goes back there; with a clock line it is empty
  uint32_t exit_aside = 0;      // what the exit jumps to: stack as at pushed_last
  uint32_t filtered_entry = 0;  // stack as at pushed_rdx; without limits_calls it is empty
  uint32_t filtered_pops = 0;   // the first of three
  uint32_t slow_entry = 0;      // stack as at pushed_rdx
  uint32_t descriptor = 0;      // agent::StubDescriptor
  uint32_t size = 0;            // without the padding
  uint32_t stub_bytes = 0;      // distance of two stubs
};

std::vector<uint8_t> EmitStub(const StubSpec& spec, const LaneGeometry& geometry);

StubPlaces PlacesOf(const LaneGeometry& geometry);

}  // namespace flightrec::stub

#endif  // SERVICES_TRACER_STUB_STUB_H_
