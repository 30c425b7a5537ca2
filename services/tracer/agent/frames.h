// Unwind information for all code that is not the program's own: stubs, thunks,
// copied instructions and the agent itself.
//
// Freestanding, thread-safe; for the unwinder of the traced process.
#ifndef SERVICES_TRACER_AGENT_FRAMES_H_
#define SERVICES_TRACER_AGENT_FRAMES_H_

#include "services/tracer/agent/state.h"

namespace flightrec::agent {

struct DwarfBases {  // struct dwarf_eh_bases
  uint64_t text;
  uint64_t data;
  uint64_t function;
};

// _Unwind_Find_FDE, without its hook.
using FindFdeFunction = uint64_t (*)(uint64_t address, DwarfBases* bases);

// The FDE for `address` and, in `bases`, where its function starts. 0: not our code.
uint64_t FindOurFde(const AgentState& state, uint64_t address, DwarfBases* bases,
                    FindFdeFunction original);

}  // namespace flightrec::agent

#endif  // SERVICES_TRACER_AGENT_FRAMES_H_
