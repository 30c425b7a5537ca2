// The bytes of a lane file: what the agent inside a traced process and the
// tracer outside agree on. FORMAT.md beside this file is the prose.
//
// Plain data and constants, freestanding (also compiled into the agent). All
// places are offsets: both sides map the file at different addresses. Fields
// marked "atomic" are only touched through __atomic builtins or, in the stubs,
// by single aligned stores; each states its order. Does not create or check a
// file: see lane_file.h.
#ifndef SERVICES_TRACER_LANE_LAYOUT_H_
#define SERVICES_TRACER_LANE_LAYOUT_H_

#include <stddef.h>
#include <stdint.h>

namespace flightrec::lane {

inline constexpr char kMagic[8] = {'F', 'R', 'L', 'A', 'N', 'E', 0, 1};
inline constexpr uint32_t kVersion = 2;
inline constexpr uint64_t kPageBytes = 4096;

inline constexpr uint32_t kMaxThreads = 1024;
// Refused threads whose tid is kept.
inline constexpr uint32_t kMaxRefusedTids = 512;
inline constexpr uint32_t kMaxFunctions = 1u << 20;
inline constexpr uint32_t kMinRingBytes = 4096;
inline constexpr uint32_t kMaxRingBytes = 256u << 20;
inline constexpr uint32_t kMinShadowEntries = 128;
inline constexpr uint32_t kMaxShadowEntries = 1u << 22;

// Bits of FileHeader::required_features.
enum Feature : uint64_t {
  kCoarseClock = 1,  // times of calls are values of FileHeader::clock_ticks
  kFilters = 2,      // slots have filtered counters, and a call_limit that is obeyed
};
inline constexpr uint64_t kKnownFeatures = kCoarseClock | kFilters;

// One finished call, written by the thread that made it when the call ends.
struct CallRecord {
  uint64_t start_ticks;  // raw TSC, or the clock line's
  uint64_t end_ticks;
  uint64_t path;            // common/path/path.h, this function included
  uint32_t function_index;  // dense, per process
  uint32_t ordinal_low;     // low half of the call's entry ordinal
};
static_assert(sizeof(CallRecord) == 32);

// One call that has begun and not ended. Entry 0 of a slot is the root: its
// path is kRootPath, its start_ticks stay 0.
struct OpenCallEntry {
  uint64_t start_ticks;  // atomic; 0: nothing open here. Written after the rest.
  uint64_t path;
  uint32_t function_index;
  uint32_t ordinal_low;
  uint64_t reserved;
};
static_assert(sizeof(OpenCallEntry) == 32);

// slot_registry.h has the steps. Which slots are free is said by the header's bits alone.
enum SlotState : uint32_t {
  kFree = 0,
  kClaimed = 1,  // set by a thread that is filling the control page
  kActive = 2,   // set by that thread (release); read by the tracer (acquire)
};

// First page of a slot.
struct SlotControl {
  uint32_t state;  // atomic SlotState
  uint32_t tid;
  uint64_t thread_pointer;  // fs base
  uint64_t thread_ordinal;  // order of registration in the process, from 1
  uint64_t start_ticks;     // raw TSC at registration
  // Bytes of the parts known to have memory; the tracer before the process runs, then the producer.
  uint64_t ring_populated;
  uint64_t shadow_populated;
  // Address of a private shadow entry in the process: a call that would take it or one above is
  // counted as filtered and passed through. Atomic, relaxed; written at registration, then by the
  // tracer: own_call_limit, or 0 for a muted thread. Only with kFilters.
  uint64_t call_limit;
  uint64_t own_call_limit;  // producer
  // Byte positions in the ring; they only grow, across threads of a slot too.
  alignas(64) uint64_t head;  // atomic, producer: release; consumer: acquire
  alignas(64) uint64_t tail;  // atomic, consumer: release; producer: acquire
  // Calls that gave no record, by cause. Atomic, relaxed, producer only.
  alignas(64) uint64_t dropped_full;  // the ring was full
  uint64_t dropped_depth;             // deeper than the shadow stack
  uint64_t dropped_migrated;          // ended on another thread
  // How far the tracer has come with the slot's thread, for one that takes over. Tracer only,
  // before the chunk is handed over.
  alignas(64) uint64_t drained_thread;  // its thread_ordinal; 0: no chunk yet
  uint64_t drained_chunks;              // ordinal of the next chunk
  uint64_t drained_ordinal;             // a call's entry ordinal, whole,
  uint64_t drained_ticks;               // and its start
};
static_assert(offsetof(SlotControl, call_limit) == 48);
static_assert(offsetof(SlotControl, head) == 64);
static_assert(offsetof(SlotControl, tail) == 128);
static_assert(offsetof(SlotControl, drained_thread) == 256);

// First page of the file.
struct FileHeader {
  char magic[8];
  uint32_t version;
  uint32_t header_bytes;  // offset of slot 0
  uint64_t required_features;
  uint64_t slot_bytes;      // distance of two slots
  uint32_t slot_count;      // thread limit
  uint32_t function_count;  // length of a slot's drop counters
  uint32_t drops_offset;    // in a slot: uint64_t[function_count], atomic
  uint32_t shadow_offset;   // in a slot: OpenCallEntry[shadow_entries]
  uint32_t shadow_entries;
  uint32_t ring_offset;  // in a slot: ring_bytes bytes of CallRecord
  uint32_t ring_bytes;   // power of two
  uint32_t pid;
  uint64_t process_start_ticks;  // field 22 of /proc/PID/stat
  char boot_id[40];              // text, 0-terminated
  uint32_t filtered_offset;      // in a slot: uint64_t[function_count], atomic; 0 without kFilters
  // Atomic, relaxed; written by the threads of the process.
  alignas(64) uint64_t thread_ordinals;  // registrations so far
  uint64_t refused_by_limit;             // threads: every slot was taken
  uint64_t refused_by_memory;            // threads: tmpfs had no room
  uint64_t refused_calls;                // entries seen in refused threads
  uint64_t slot_releases;                // slots given back so far; tracer, release
  // Atomic; bit set: the slot is free. Cleared by a thread (acquire), set by the tracer (release).
  uint64_t free_slots[kMaxThreads / 64];
  // Atomic; written by the tracer (release) before a function beyond it can be called.
  uint32_t functions_in_use;  // of function_count
  // How the program waits until the tracer has hooked the libraries it has just loaded. Atomic;
  // request and answer are futex words.
  uint32_t library_watch;     // 1: wait. Set by the tracer; 0 by a thread that found it gone
  uint32_t library_request;   // threads count up (release)
  uint32_t library_answer;    // tracer: the last request that is done (release)
  uint32_t tracer_beat;       // the tracer counts up while it is there
  uint32_t library_given_up;  // requests without an answer in time
  // Atomic, relaxed; starts of child processes by the function that makes them, and of other
  // programs in the place of this one.
  alignas(64) uint64_t children_fork;
  uint64_t children_vfork;
  uint64_t children_posix_spawn;
  uint64_t children_clone;
  uint64_t execs_begun;
  uint64_t execs_failed;
  // Atomic, relaxed; 0: nobody. Threads without a slot that run on no slot's block.
  alignas(64) uint32_t refused_tids[kMaxRefusedTids];
  // Calls of which the tracer knows that the backend keeps them; tracer only.
  uint64_t calls_durable;
  // Away from the rest: written by the tracer many times a millisecond, read at every call.
  // Atomic, relaxed; never 0, never decreasing. 0 without kCoarseClock.
  alignas(1024) uint64_t clock_ticks;
};
static_assert(offsetof(FileHeader, calls_durable) == 2432);
static_assert(offsetof(FileHeader, clock_ticks) == 3072);
static_assert(sizeof(FileHeader) <= kPageBytes);
static_assert(sizeof(SlotControl) <= kPageBytes);

}  // namespace flightrec::lane

#endif  // SERVICES_TRACER_LANE_LAYOUT_H_
