// Whether the calling thread is recorded, by its name.
//
// Freestanding. Makes a system call if there are globs; for registration only:
// the tracer follows later changes of the name.
#ifndef SERVICES_TRACER_AGENT_THREAD_NAME_H_
#define SERVICES_TRACER_AGENT_THREAD_NAME_H_

#include "services/tracer/agent/state.h"
#include "services/tracer/agent/system_call.h"

namespace flightrec::agent {

// As pattern::GlobMatches, on texts that end with a 0.
inline bool NameMatches(const char* glob, const char* text) {
  const char* star = nullptr;  // the last "*", and where its match ends
  const char* resume = nullptr;
  while (*text != 0) {
    if (*glob == '*') {
      star = glob++;
      resume = text;
    } else if (*glob == '?' || *glob == *text) {
      ++glob;
      ++text;
    } else if (star != nullptr) {
      glob = star + 1;
      text = ++resume;
    } else {
      return false;
    }
  }
  while (*glob == '*') ++glob;
  return *glob == 0;
}

inline bool IsMutedByName(const AgentState& state) {
  if (state.thread_glob_count == 0) return false;
  constexpr uint64_t kGetName = 16;  // PR_GET_NAME
  char name[16] = {};
  SystemCall(kSysPrctl, kGetName, reinterpret_cast<uint64_t>(name));
  for (uint64_t i = 0; i < state.thread_glob_count; ++i) {
    if (NameMatches(state.thread_globs[i], name)) return false;
  }
  return true;
}

}  // namespace flightrec::agent

#endif  // SERVICES_TRACER_AGENT_THREAD_NAME_H_
