#include "services/tracer/agent/libraries.h"

#include "services/tracer/agent/state.h"
#include "services/tracer/agent/system_call.h"
#include "services/tracer/agent/thread.h"

namespace flightrec::agent {
namespace {

constexpr uint64_t kFutexWake = 1;
constexpr uint64_t kFutexWaitBitset = 9;  // until a time of CLOCK_MONOTONIC
constexpr uint64_t kAnyBit = 0xFFFFFFFF;
constexpr uint64_t kMonotonic = 1;
constexpr int64_t kSecond = 1'000'000'000;
constexpr int32_t kConsistent = 0;  // RT_CONSISTENT

struct Duration {  // struct timespec
  int64_t seconds;
  int64_t nanoseconds;
};

uint32_t Load(const uint32_t* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

int64_t Now() {
  Duration now = {0, 0};
  SystemCall(kSysClockGettime, kMonotonic, reinterpret_cast<uint64_t>(&now));
  return now.seconds * kSecond + now.nanoseconds;
}

// False: not in time. Signals do not make it longer: it sleeps until a time, not for one.
bool AwaitAnswer(lane::FileHeader* header, uint32_t request) {
  int64_t now = Now();
  const int64_t give_up = now + kMaxLibraryWait;
  int64_t heard = now;
  uint32_t beat = Load(&header->tracer_beat);
  for (; now < give_up; now = Now()) {
    // Acquire: pairs with the tracer's release; the hooks are in place.
    const uint32_t answer = Load(&header->library_answer);
    if (static_cast<int32_t>(answer - request) >= 0 || Load(&header->library_watch) == 0)
      return true;
    const uint32_t latest = Load(&header->tracer_beat);
    if (latest != beat) heard = now;
    beat = latest;
    if (now - heard > kMaxSilence) {
      // Nobody will ever answer.
      __atomic_store_n(&header->library_watch, 0, __ATOMIC_RELEASE);
      return false;
    }
    const int64_t wake = now + kLibrarySleep;
    const Duration until = {wake / kSecond, wake % kSecond};
    SystemCall(kSysFutex, reinterpret_cast<uint64_t>(&header->library_answer), kFutexWaitBitset,
               answer, reinterpret_cast<uint64_t>(&until), 0, kAnyBit);
  }
  return false;
}

}  // namespace

// Stands in front of the function that the loader calls for debuggers, before and after it changes
// what is loaded. 0: go on there.
extern "C" uint64_t LibrariesChanged(uint64_t, uint64_t, const AgentState* state) {
  // A forked child has no tracer.
  if (Blocks(*state)->alive == 0) return 0;
  lane::FileHeader* header = Header(*state);
  if (Load(&header->library_watch) == 0 || state->loader_state == 0) return 0;
  if (*reinterpret_cast<const volatile int32_t*>(state->loader_state) != kConsistent) return 0;
  // Release: pairs with the tracer's acquire.
  const uint32_t request = __atomic_add_fetch(&header->library_request, 1, __ATOMIC_RELEASE);
  SystemCall(kSysFutex, reinterpret_cast<uint64_t>(&header->library_request), kFutexWake,
             ~uint32_t{0} >> 1);
  if (!AwaitAnswer(header, request))
    __atomic_fetch_add(&header->library_given_up, 1, __ATOMIC_RELAXED);
  return 0;
}

}  // namespace flightrec::agent
