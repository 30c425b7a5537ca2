// The agent's private memory inside a traced process: what the stubs reach
// through the gs base, and what the agent's functions get as their argument.
//
// Plain data, freestanding; written by the tracer before the first hook is
// live, afterwards by the thread that owns the block; regions are added by the
// tracer at any time. Agent, stubs and the tracer that records are of one build; one that takes
// hooks out may be a later one, see kAgentVersion.
#ifndef SERVICES_TRACER_AGENT_STATE_H_
#define SERVICES_TRACER_AGENT_STATE_H_

#include <stddef.h>
#include <stdint.h>

#include "services/tracer/lane/layout.h"

namespace flightrec::agent {

// Of what a tracer has to know to take a process's hooks out: AgentState, ThreadBlock, ShadowEntry,
// LeftFrame and Region. Changes with any of them, and with the way a stub returns.
inline constexpr uint32_t kAgentVersion = 1;

inline constexpr uint32_t kMaxRegions = 1024;
inline constexpr uint32_t kRefusedBlocks = 1024;
inline constexpr uint32_t kMaxThreadGlobs = 16;
inline constexpr uint32_t kMaxThreadGlobBytes = 32;  // the 0 at the end included
// Memory of shared shadow and ring is taken in steps of this, by the thread
// that needs it: a full tmpfs then is an error code and not a SIGBUS.
inline constexpr uint64_t kPopulateBytes = 64 * 1024;

// Control flow of one hooked call. Private to the process and copied by fork: a
// forked child returns through the frames of its parent.
struct ShadowEntry {
  uint64_t return_address;
  // Address of the return address on the stack. 0: taken by a stub that has
  // not written it yet. kDeadSlot: over, but something above it may live.
  uint64_t slot;
  uint64_t caller_rbx;
  // Position in the ring of the call's record, noted before it is taken, so
  // that a record whose writer was left by longjmp can be completed.
  uint64_t ring_place;
};
static_assert(sizeof(ShadowEntry) == 32);
static_assert(sizeof(ShadowEntry) == sizeof(lane::OpenCallEntry));

inline constexpr uint64_t kDeadSlot = 1;
inline constexpr uint64_t kNoPlace = ~uint64_t{0};
// Slot of entry 0: above every stack, so the entry is never found dead.
inline constexpr uint64_t kRootSlot = ~uint64_t{0};

// What it takes to return through a frame whose entry was taken off as dead
// because of its address alone. If its stack lies inside another one, it may
// live. In the private memory of a slot behind the shadow stack, where the lane
// file has more than this many bytes; the oldest give way.
struct LeftFrame {
  uint64_t slot;
  uint64_t return_address;
  uint64_t caller_rbx;
  uint64_t number;  // of a slot's frames the one with the highest counts
};
inline constexpr uint64_t kMaxLeftFrames = 256;
static_assert(kMaxLeftFrames * sizeof(LeftFrame) <= 2 * lane::kPageBytes);

// kForeign: a child that shares the memory until it executes another program. It records nothing.
enum BlockKind : uint64_t { kUnregistered = 0, kRegistered = 1, kRefused = 2, kForeign = 3 };

// A thread's gs base points here. In pages that fork wipes: in the child owner
// is 0, so every hook finds that the block is not its own.
struct alignas(128) ThreadBlock {
  uint64_t owner;         // fs base of the thread
  uint64_t top;           // ShadowEntry*: the next free one
  uint64_t shadow_limit;  // ShadowEntry*: entries from here on need SlowEntry
  uint64_t next_ordinal;
  uint64_t reserved;    // position in the ring behind the last taken record
  uint64_t ring_limit;  // position from which on SlowExit decides
  uint64_t control;     // lane::SlotControl*; 0: neither it nor the drop counters have memory yet
  uint64_t kind;
  uint64_t shadow_base;  // ShadowEntry*: the root entry
  // Bounds of the thread's own stack. High 0: not looked up yet, low is an address on it. 1, 1:
  // looked up and not found.
  uint64_t stack_low;
  uint64_t stack_high;
  uint64_t releases;     // kRefused: lane::Releases when all slots were found taken
  uint64_t left_frames;  // written so far
};
static_assert(sizeof(ThreadBlock) == 128);
static_assert(offsetof(ThreadBlock, left_frames) < 128);

// In the same wiped pages, before the blocks.
struct alignas(128) BlockArea {
  uint64_t alive;  // 1; 0 in a forked child
};

// Where the displaced instructions of a function stand now. Copied code is
// unwound as the original would be.
inline constexpr uint32_t kMaxDisplaced = 6;  // the jump behind them included
struct Displaced {
  uint64_t original;   // of the first; 0: not used yet
  uint32_t relocated;  // of the first, from Region.high
  uint8_t count;
  uint8_t original_at[kMaxDisplaced];  // bytes from `original`
  uint8_t relocated_at[kMaxDisplaced];
  uint8_t called_at;  // from here on the stack is as at the start of a callee; 0: no call
};
static_assert(sizeof(Displaced) == 32);

// Code with unwind information of its own.
struct CodeWithFrames {
  uint64_t low;
  uint64_t high;
  uint64_t fde;
};
inline constexpr uint32_t kThunks = 2;

// Stubs near one module.
struct Region {
  uint64_t low;              // first stub
  uint64_t high;             // end of the last stub
  uint64_t stub_bytes;       // distance of two stubs
  uint64_t stub_fde;         // FDE relative to the start of a stub
  uint64_t callee_fde;       // for one byte of code that finds the stack as a callee does
  uint64_t eh_frame_header;  // .eh_frame_hdr with one FDE for all return addresses
  uint64_t displaced;        // Displaced[]: one for each stub, in their order
  uint64_t displaced_end;    // end of the relocated code, which starts at `high`
  uint64_t thunks;           // CodeWithFrames[kThunks]
};

// Read-only for the agent.
struct AgentState {
  uint64_t blocks;      // BlockArea*, then unregistered, slots, refused, foreign
  uint64_t header;      // lane::FileHeader*
  uint64_t slots;       // slot 0
  uint64_t slot_bytes;  // also the distance of two private shadow stacks
  uint64_t shadows;     // ShadowEntry*: private shadow stack of slot 0
  uint64_t drops_offset;
  uint64_t drops_bytes;  // and of filtered counters; of functions hooked at launch; later ones have
                         // memory in every slot
  uint64_t shadow_offset;
  uint64_t ring_offset;
  uint64_t ring_bytes;
  uint64_t shadow_entries;
  uint64_t slot_count;
  uint64_t main_thread_stack_low;  // ThreadBlock bounds of the first thread
  uint64_t main_thread_stack_high;
  uint64_t loader_state;        // int32_t*: r_state of the loader's r_debug; 0: no loader
  uint64_t clock_line;          // FileHeader::clock_ticks; 0: times are read from the TSC
  uint64_t min_duration_ticks;  // shorter calls are counted only
  uint64_t limits_calls;        // not 0: SlotControl::call_limit is obeyed
  uint64_t max_depth;           // calls around a recorded one, at most this - 1; 0: no limit
  uint64_t filtered_offset;     // in a slot
  // A thread whose name matches none is muted; no globs: all threads are recorded.
  uint64_t thread_glob_count;
  char thread_globs[kMaxThreadGlobs][kMaxThreadGlobBytes];
  uint64_t region_count;
  Region regions[kMaxRegions];
};

// Indexes of the blocks behind BlockArea; the refused ones lie behind the slots.
inline constexpr uint64_t kUnregisteredBlock = 0;
inline constexpr uint64_t kFirstSlotBlock = 1;

constexpr uint64_t BlockAddress(uint64_t blocks, uint64_t index) {
  return blocks + sizeof(BlockArea) + index * sizeof(ThreadBlock);
}
constexpr uint64_t ForeignBlock(uint64_t slot_count) {
  return kFirstSlotBlock + slot_count + kRefusedBlocks;
}
constexpr uint64_t BlockAreaBytes(uint64_t slot_count) {
  return BlockAddress(0, ForeignBlock(slot_count) + 1);
}

// What a stub hands to SlowEntry; lies in the stub.
struct StubDescriptor {
  uint64_t function_id;
  uint32_t function_index;
  uint32_t reserved;
  uint64_t relocated;  // the function without its hook
};

// What the agent's Notice is told. Each has its counter in lane::FileHeader, from children_fork on.
enum ProcessEvent : uint32_t {
  kForks = 0,
  kVforks = 1,
  kSpawns = 2,
  kClones = 3,
  kExecBegins = 4,
  kExecFailed = 5,
};

// Behind ImageHeader::system_call: code that does rt_sigreturn.
inline constexpr uint64_t kReturnFromCall = 3;

// Starts the agent's image: offsets of its functions.
struct ImageHeader {
  uint32_t slow_entry;
  uint32_t slow_exit;
  uint32_t find_fde;
  uint32_t find_object;
  uint32_t notice;
  uint32_t libraries_changed;
  uint32_t system_call;  // SYSCALL; RET for threads that the tracer has stopped
  uint32_t frames;       // .eh_frame of the image, its end marked
};

}  // namespace flightrec::agent

#endif  // SERVICES_TRACER_AGENT_STATE_H_
