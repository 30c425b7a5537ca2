// The stacks that a stopped thread is using, and where its signal handlers return to: frames of the
// kernel on them, known by the C library's restorer.
//
// Plain data once read. For the thread that traces the process, which stays stopped meanwhile.
#ifndef SERVICES_TRACER_TARGET_THREAD_STACKS_H_
#define SERVICES_TRACER_TARGET_THREAD_STACKS_H_

#include <cstdint>
#include <vector>

#include "services/tracer/inject/memory_map.h"
#include "services/tracer/inject/remote_process.h"

namespace flightrec::target {

// Stacks deeper than this are read only so far.
inline constexpr uint64_t kMaxStackSearch = uint64_t{8} << 20;
// A function may use so much below its stack pointer.
inline constexpr uint64_t kRedZone = 128;

// One stack from its red zone up.
struct StackPart {
  uint64_t low = 0;             // address of the first word
  std::vector<uint64_t> words;  // empty: it could not be read
  uint64_t floor = 0;           // start of the mapping: below `low` nothing is alive

  uint64_t high() const { return low + words.size() * sizeof(uint64_t); }
};

struct SignalFrame {
  uint64_t pc_address = 0;  // where `pc` is saved
  uint64_t pc = 0;          // of the interrupted code
};

struct ThreadStacks {
  std::vector<StackPart> parts;
  std::vector<SignalFrame> signal_frames;
};

// Also of stacks that signal handlers have left for others.
ThreadStacks ReadStacks(const inject::RemoteProcess& process, const inject::MemoryMap& map,
                        uint64_t stack_pointer);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_THREAD_STACKS_H_
