#include "services/tracer/target/thread_stacks.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/types/span.h"

namespace flightrec::target {
namespace {

constexpr uint64_t kWord = 8;
// Handlers that interrupt handlers, each on a stack of its own.
constexpr size_t kMaxStacksPerThread = 8;

// Kernel's rt_sigframe: the words around the saved instruction pointer.
constexpr uint64_t kRestorerBeforePc = 176;
constexpr uint64_t kSpBeforePc = 8;
constexpr uint64_t kSegmentsAfterPc = 16;
// cs 0x33, ss 0x2b: user code on x86-64.
constexpr uint64_t kUserSegments = 0x002b000000000033;
// mov rax, 15; syscall: rt_sigreturn.
constexpr std::array<uint8_t, 9> kRestorer = {0x48, 0xC7, 0xC0, 0x0F, 0, 0, 0, 0x0F, 0x05};

const inject::Mapping* MappingAt(const inject::MemoryMap& map, uint64_t address) {
  for (const inject::Mapping& mapping : map.mappings()) {
    if (mapping.low <= address && address < mapping.high) return &mapping;
  }
  return nullptr;
}

bool IsRestorer(const inject::RemoteProcess& process, uint64_t address) {
  std::array<uint8_t, kRestorer.size()> code;
  return process.Read(address, absl::MakeSpan(code)).ok() && code == kRestorer;
}

// A part of the stack that cannot be read has no frames.
StackPart ReadPart(const inject::RemoteProcess& process, const inject::Mapping& stack,
                   uint64_t stack_pointer) {
  StackPart part;
  part.floor = stack.low;
  part.low = std::max(stack.low, (stack_pointer - kRedZone) & ~(kWord - 1));
  const uint64_t high = std::min(stack.high, part.low + kMaxStackSearch);
  part.words.resize((high - part.low) / kWord);
  const absl::Status read = process.Read(
      part.low,
      absl::MakeSpan(reinterpret_cast<uint8_t*>(part.words.data()), part.words.size() * kWord));
  if (!read.ok()) part.words.clear();
  return part;
}

}  // namespace

ThreadStacks ReadStacks(const inject::RemoteProcess& process, const inject::MemoryMap& map,
                        uint64_t stack_pointer) {
  ThreadStacks stacks;
  std::vector<uint64_t> pointers = {stack_pointer};
  constexpr size_t kFirst = (kRestorerBeforePc + kSegmentsAfterPc) / kWord;
  for (size_t next = 0; next < pointers.size() && next < kMaxStacksPerThread; ++next) {
    const inject::Mapping* mapping = MappingAt(map, pointers[next]);
    if (mapping == nullptr) continue;
    StackPart part = ReadPart(process, *mapping, pointers[next]);
    // The handler's return has taken the restorer's address off the stack already when the thread
    // stands in the restorer.
    const uint64_t used = std::max(part.low, (pointers[next] - kWord) & ~(kWord - 1));
    for (size_t i = (used - part.low) / kWord + kFirst; i < part.words.size(); ++i) {
      if (part.words[i] != kUserSegments || !IsRestorer(process, part.words[i - kFirst])) continue;
      const size_t pc = i - kSegmentsAfterPc / kWord;
      const uint64_t sp = part.words[pc - kSpBeforePc / kWord];
      if (sp < part.low || sp >= part.high()) pointers.push_back(sp);
      stacks.signal_frames.push_back({part.low + pc * kWord, part.words[pc]});
    }
    stacks.parts.push_back(std::move(part));
  }
  return stacks;
}

}  // namespace flightrec::target
