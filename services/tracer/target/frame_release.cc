#include "services/tracer/target/frame_release.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "services/tracer/agent/state.h"
#include "services/tracer/inject/memory_map.h"
#include "services/tracer/target/thread_stacks.h"

namespace flightrec::target {
namespace {

constexpr uint64_t kWord = 8;
constexpr uint8_t kDirectCall = 0xE8;
constexpr uint64_t kDirectCallBytes = 5;

struct StoppedThread {
  pid_t tid = 0;
  user_regs_struct registers;
  ThreadStacks stacks;
};

bool Contains(const RegionSpace& space, uint64_t address) {
  return address - space.address < space.bytes;
}

// call reg or call [reg+disp8], with or without REX.
bool EndsIndirectCall(absl::Span<const uint8_t> code, uint64_t end) {
  const auto at = [&](uint64_t back) { return back <= end ? code[end - back] : uint8_t{0}; };
  return (at(2) == 0xFF && (at(1) & 0xF8) == 0xD0) || (at(3) == 0xFF && (at(2) & 0xF8) == 0x50);
}

absl::Status ReadInto(const inject::RemoteProcess& process, uint64_t address, void* out,
                      size_t bytes) {
  return process.Read(address, absl::MakeSpan(static_cast<uint8_t*>(out), bytes));
}

class FrameRelease {
 public:
  FrameRelease(ThreadControl& threads, inject::RemoteProcess& process, const ProcessMemory& memory,
               absl::Span<const RegionSpace> unwinders)
      : control_(threads),
        process_(process),
        memory_(memory),
        unwinders_(unwinders),
        state_(memory.state()),
        image_(memory.image().bytes),
        returned_(memory.stub_return()) {}

  absl::StatusOr<std::string> Run(OpenCalls open_calls) {
    absl::Status read = ReadThreads();
    if (read.ok()) read = ReadInto(process_, memory_.image().address, image_.data(), image_.size());
    if (!read.ok()) return read;
    for (const StoppedThread& thread : threads_) {
      if (RunsInHook(thread)) {
        return absl::StrCat("thread ", thread.tid,
                            " is inside a hook, or a signal handler that interrupted one");
      }
    }
    for (const StoppedThread& thread : threads_) {
      std::string why = ReadCalls(thread);
      if (!why.empty()) return why;
    }
    for (const auto& [slot, caller] : slots_) {
      if (IsStubReturn(caller)) return std::string("an open call has lost its caller");
    }
    for (const StoppedThread& thread : threads_) {
      if (Unwinds(thread))
        return absl::StrCat("thread ", thread.tid, " is about to unwind a hooked function");
    }
    if (open_calls == OpenCalls::kAwait && !slots_.empty())
      return absl::StrCat(slots_.size(), " calls of hooked functions are open");
    return Redirect();
  }

 private:
  absl::Status ReadThreads() {
    const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(process_.pid());
    if (!map.ok()) return map.status();
    for (const pid_t tid : control_.stopped()) {
      const absl::StatusOr<user_regs_struct> registers = control_.Registers(tid);
      // Killed meanwhile: it runs nothing any more.
      if (!registers.ok()) continue;
      threads_.push_back({tid, *registers, ReadStacks(process_, *map, registers->rsp)});
    }
    return absl::OkStatus();
  }

  bool IsOurCode(uint64_t address) const {
    if (Contains(memory_.image(), address)) return true;
    return std::any_of(memory_.code().begin(), memory_.code().end(),
                       [address](const RegionSpace& space) { return Contains(space, address); });
  }

  // Where a hooked function returns to.
  bool IsStubReturn(uint64_t word) const {
    for (uint64_t i = 0; i < state_.region_count; ++i) {
      const agent::Region& region = state_.regions[i];
      if (word - region.low < region.high - region.low)
        return (word - region.low) % region.stub_bytes == returned_;
    }
    return false;
  }

  // Where a function of the program returns to that our code has called: an unwinder's original
  // lookup, an execve. Other calls in our code stay inside it.
  bool IsCallout(uint64_t word) const {
    if (Contains(memory_.image(), word))
      return EndsIndirectCall(image_, word - memory_.image().address);
    if (!IsOurCode(word) || IsInStubs(word)) return false;
    uint8_t code = 0;
    return process_.Read(word - kDirectCallBytes, absl::MakeSpan(&code, 1)).ok() &&
           code == kDirectCall;
  }

  bool IsInStubs(uint64_t word) const {
    for (uint64_t i = 0; i < state_.region_count; ++i) {
      const agent::Region& region = state_.regions[i];
      if (word - region.low < region.displaced_end - region.low) return true;
    }
    return false;
  }

  bool RunsInHook(const StoppedThread& thread) const {
    if (IsOurCode(thread.registers.rip)) return true;
    for (const SignalFrame& frame : thread.stacks.signal_frames) {
      if (IsOurCode(frame.pc)) return true;
    }
    for (const StackPart& part : thread.stacks.parts) {
      const auto first = part.words.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(
                                                  kRedZone / kWord, part.words.size()));
      if (std::any_of(first, part.words.end(), [this](uint64_t word) { return IsCallout(word); }))
        return true;
    }
    return false;
  }

  bool IsUnwinder(uint64_t address) const {
    return std::any_of(unwinders_.begin(), unwinders_.end(),
                       [address](const RegionSpace& space) { return Contains(space, address); });
  }

  // An unwinder has functions that it is in, and above them what it knows of the frame it has come
  // to: an address in a stub that is no return address.
  bool Unwinds(const StoppedThread& thread) const {
    bool inside = IsUnwinder(thread.registers.rip);
    for (const StackPart& part : thread.stacks.parts) {
      for (size_t i = 0; i < part.words.size(); ++i) {
        inside = inside || IsUnwinder(part.words[i]);
        if (inside && IsOurCode(part.words[i]) && !slots_.contains(part.low + i * kWord))
          return true;
      }
    }
    return false;
  }

  // The part in use that has the address; below the stack pointer nothing is alive.
  const StackPart* FindPart(uint64_t address) const {
    for (const StoppedThread& thread : threads_) {
      for (const StackPart& part : thread.stacks.parts) {
        if (address - part.floor < part.high() - part.floor) return &part;
      }
    }
    return nullptr;
  }

  // The calls that this thread has begun and not ended.
  std::string ReadCalls(const StoppedThread& thread) {
    const uint64_t first = agent::BlockAddress(state_.blocks, agent::kFirstSlotBlock);
    const uint64_t index = (thread.registers.gs_base - first) / sizeof(agent::ThreadBlock);
    if (thread.registers.gs_base < first || index >= state_.slot_count) return "";
    agent::ThreadBlock block;
    std::string unreadable = absl::StrCat("the calls of thread ", thread.tid, " cannot be read");
    if (!ReadInto(process_, thread.registers.gs_base, &block, sizeof(block)).ok())
      return unreadable;
    if (block.kind != agent::kRegistered || block.owner != thread.registers.fs_base) return "";
    const uint64_t base = block.shadow_base + sizeof(agent::ShadowEntry);
    const uint64_t most = state_.shadow_entries * sizeof(agent::ShadowEntry);
    if (block.top < base || block.top - block.shadow_base > most) return unreadable;
    std::vector<agent::ShadowEntry> entries((block.top - base) / sizeof(agent::ShadowEntry));
    if (!ReadInto(process_, base, entries.data(), entries.size() * sizeof(entries[0])).ok())
      return unreadable;
    for (size_t i = 0; i < entries.size(); ++i) {
      std::string why = AddCall(base + i * sizeof(agent::ShadowEntry), entries[i]);
      if (!why.empty()) return why;
    }
    return block.left_frames == 0 ? "" : CheckLeftFrames(block);
  }

  std::string AddCall(uint64_t address, const agent::ShadowEntry& entry) {
    if (entry.slot <= agent::kDeadSlot || entry.slot % kWord != 0) return "";
    uint64_t word = 0;
    const StackPart* part = FindPart(entry.slot);
    if (part != nullptr) {
      if (entry.slot < part->low) return "";
      word = part->words[(entry.slot - part->low) / kWord];
    } else if (!ReadInto(process_, entry.slot, &word, sizeof(word)).ok()) {
      return "";
    }
    if (!IsStubReturn(word)) return "";
    if (part == nullptr) return "a call is open on a stack that no thread is using";
    // A function that another one has jumped to at its end has the same slot; the older knows the
    // caller, and is found first. One that was left without a return may be older still: of those
    // that know a caller the newest is right.
    const auto [slot, is_new] = slots_.try_emplace(entry.slot, entry.return_address);
    if (!is_new && !IsStubReturn(entry.return_address)) slot->second = entry.return_address;
    callers_rbx_[address] = entry.caller_rbx;
    return "";
  }

  // Frames of coroutines whose stacks lie inside others': which entry rbx had is not known.
  std::string CheckLeftFrames(const agent::ThreadBlock& block) const {
    const uint64_t bytes = state_.shadow_entries * sizeof(agent::ShadowEntry);
    std::vector<agent::LeftFrame> frames(agent::kMaxLeftFrames);
    const uint64_t address =
        block.shadow_base + (bytes + lane::kPageBytes - 1) / lane::kPageBytes * lane::kPageBytes;
    if (!ReadInto(process_, address, frames.data(), frames.size() * sizeof(frames[0])).ok())
      return "";
    for (const agent::LeftFrame& frame : frames) {
      uint64_t word = 0;
      if (frame.slot == 0 || slots_.contains(frame.slot)) continue;
      const StackPart* part = FindPart(frame.slot);
      if (part != nullptr && frame.slot < part->low) continue;
      if (ReadInto(process_, frame.slot, &word, sizeof(word)).ok() && IsStubReturn(word))
        return "a call is open on a stack inside another one";
    }
    return "";
  }

  // What stands where the address of an open call's entry was kept.
  uint64_t CallersRbx(uint64_t value) const {
    // An entry holds an older one's address at most.
    for (size_t i = 0; i <= callers_rbx_.size(); ++i) {
      const auto entry = callers_rbx_.find(value);
      if (entry == callers_rbx_.end()) break;
      value = entry->second;
    }
    return value;
  }

  absl::Status WriteWord(uint64_t address, uint64_t word) {
    return process_.Write(
        address, absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(&word), sizeof(word)));
  }

  // A tracer that is killed in the middle leaves threads that find back: a stub whose function has
  // come back with another rbx than its entry looks the entry up by its slot, and needs its block.
  absl::StatusOr<std::string> Redirect() {
    for (StoppedThread& thread : threads_) {
      const absl::Status given_back = GiveBackRbx(thread);
      if (!given_back.ok()) return given_back;
    }
    for (const auto& [address, word] : returns_) {
      const absl::Status written = WriteWord(address, word);
      if (!written.ok()) return written;
    }
    for (StoppedThread& thread : threads_) {
      auto& gs_base = thread.registers.gs_base;
      if (gs_base - state_.blocks >= agent::BlockAreaBytes(state_.slot_count)) continue;
      gs_base = 0;
      // Killed meanwhile: it runs nothing any more.
      control_.SetRegisters(thread.tid, thread.registers).IgnoreError();
    }
    return std::string();
  }

  absl::Status GiveBackRbx(StoppedThread& thread) {
    for (const StackPart& part : thread.stacks.parts) {
      for (size_t i = 0; i < part.words.size() && !slots_.empty(); ++i) {
        const uint64_t address = part.low + i * kWord;
        const auto slot = slots_.find(address);
        if (slot != slots_.end() && IsStubReturn(part.words[i])) {
          returns_.emplace_back(address, slot->second);
          continue;
        }
        const uint64_t word = CallersRbx(part.words[i]);
        if (word == part.words[i]) continue;
        const absl::Status written = WriteWord(address, word);
        if (!written.ok()) return written;
      }
    }
    user_regs_struct& r = thread.registers;
    for (auto* value : {&r.rbx, &r.rbp, &r.r12, &r.r13, &r.r14, &r.r15, &r.rax, &r.rcx, &r.rdx,
                        &r.rsi, &r.rdi, &r.r8, &r.r9, &r.r10, &r.r11})
      *value = CallersRbx(*value);
    control_.SetRegisters(thread.tid, r).IgnoreError();
    return absl::OkStatus();
  }

  ThreadControl& control_;
  inject::RemoteProcess& process_;
  const ProcessMemory& memory_;
  const absl::Span<const RegionSpace> unwinders_;
  const agent::AgentState& state_;
  std::vector<uint8_t> image_;  // another build's if the agent was adopted
  const uint32_t returned_;
  std::vector<StoppedThread> threads_;
  // Address of a return address -> what it has to be.
  absl::flat_hash_map<uint64_t, uint64_t> slots_;
  // The same, found on the stacks.
  std::vector<std::pair<uint64_t, uint64_t>> returns_;
  // By the address of an entry.
  absl::flat_hash_map<uint64_t, uint64_t> callers_rbx_;
};

}  // namespace

absl::StatusOr<std::string> ReleaseFrames(ThreadControl& threads, inject::RemoteProcess& process,
                                          const ProcessMemory& memory,
                                          absl::Span<const RegionSpace> unwinders,
                                          OpenCalls open_calls) {
  return FrameRelease(threads, process, memory, unwinders).Run(open_calls);
}

}  // namespace flightrec::target
