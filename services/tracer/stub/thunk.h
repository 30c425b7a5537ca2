// Machine code that leads from stubs and hooks to the agent's functions.
//
// Pure functions, thread-safe; they write into no process. All addresses are
// addresses in the traced process.
#ifndef SERVICES_TRACER_STUB_THUNK_H_
#define SERVICES_TRACER_STUB_THUNK_H_

#include <cstdint>
#include <vector>

#include "services/tracer/stub/stub.h"

namespace flightrec::stub {

// Called by the slow part of a stub's entry, of stubs with these places; never returns there.
std::vector<uint8_t> EmitEntryThunk(uint64_t address, uint64_t agent_state, uint64_t slow_entry,
                                    const StubPlaces& places);

// The same for the exit. It gives the entry back itself, behind everything that an unwinder needs
// of it, by kGiveBackBytes of code.
inline constexpr uint32_t kGiveBackBytes = 38;
std::vector<uint8_t> EmitExitThunk(uint64_t address, uint64_t agent_state, uint64_t slow_exit);

enum class Answer { kFunctionResult, kZero };

// Calls `function(rdi, rsi, agent_state, original)`. If the result is not 0, returns it
// or zero to the caller; else goes on behind its last byte, where the relocated
// original has to stand.
std::vector<uint8_t> EmitQuestion(uint64_t address, uint64_t agent_state, uint64_t function,
                                  Answer answer);

// Calls `notice(agent_state, event, third argument)` and goes on behind its last byte, where the
// relocated original has to stand, with every register but the flags and the stack as they were.
std::vector<uint8_t> EmitNotice(uint64_t address, uint64_t agent_state, uint64_t notice,
                                uint32_t event);

// The same, then calls the original, which has no arguments on the stack, and if that returns calls
// `notice` with `returned` before it returns too.
std::vector<uint8_t> EmitNoticeAround(uint64_t address, uint64_t agent_state, uint64_t notice,
                                      uint32_t event, uint32_t returned);

// The same for vfork, in place of it: the child, which shares the memory, gets `foreign_block` as
// its gs base. The original serves only for its errors.
std::vector<uint8_t> EmitVforkNotice(uint64_t address, uint64_t agent_state, uint64_t notice,
                                     uint32_t event, uint64_t foreign_block);

}  // namespace flightrec::stub

#endif  // SERVICES_TRACER_STUB_THUNK_H_
