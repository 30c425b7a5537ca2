#include "services/tracer/target/return_frame.h"

#include <cpuid.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

namespace flightrec::target {
namespace {

// From the kernel's headers, which do not go with <signal.h>: asm/sigcontext.h, asm/ucontext.h.
struct VectorBytes {  // _fpx_sw_bytes
  uint32_t magic1;
  uint32_t extended_size;
  uint64_t features;
  uint32_t state_size;
  uint32_t padding[7];
};
static_assert(sizeof(VectorBytes) == 48);
constexpr uint32_t kMagic1 = 0x46505853;
constexpr uint32_t kMagic2 = 0x46505845;
constexpr size_t kVectorBytesPlace = 464;
constexpr size_t kLegacyBytes = 512;
constexpr size_t kVectorHeaderBytes = 64;
constexpr uint64_t kXFirstExtended = 2;
constexpr uint64_t kTileData = uint64_t{1} << 18;  // only for those who have asked for it
constexpr uint64_t kFlags = 1 | 2 | 4;  // UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS
constexpr int kNoStack = 7;             // refused, so that the alternate stack stays what it is

constexpr size_t kContextBytes = 304;  // struct ucontext with the kernel's signal mask
static_assert(offsetof(ucontext_t, uc_sigmask) == kContextBytes - sizeof(uint64_t));
constexpr size_t kInfoBytes = 128;
constexpr size_t kFrameBytes = sizeof(uint64_t) + kContextBytes + kInfoBytes;

// What a stopped thread's result says that is in a system call which is to be made again.
constexpr int64_t kRestarts[] = {-512, -513, -514, -516};
constexpr uint64_t kSystemCallBytes = 2;

// Of the features, in the standard format.
size_t StateSize(uint64_t features) {
  size_t size = kLegacyBytes + kVectorHeaderBytes;
  for (uint32_t i = kXFirstExtended; i < 63; ++i) {
    if ((features >> i & 1) == 0) continue;
    uint32_t bytes = 0, place = 0, c = 0, d = 0;
    __cpuid_count(0xD, i, bytes, place, c, d);
    size = std::max<size_t>(size, place + bytes);
  }
  return size;
}

// As the kernel writes them for a handler; without extended ones where they are not what is known.
std::vector<uint8_t> MakeVectors(absl::Span<const uint8_t> vectors) {
  std::vector<uint8_t> out(vectors.begin(), vectors.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                                  vectors.size(), kLegacyBytes)));
  out.resize(kLegacyBytes);
  VectorBytes description = {};
  if (vectors.size() >= kLegacyBytes + kVectorHeaderBytes) {
    uint64_t features;
    memcpy(&features, vectors.data() + kVectorBytesPlace, sizeof(features));
    features &= ~kTileData;
    const size_t size = StateSize(features);
    if (size <= vectors.size()) {
      out.assign(vectors.begin(), vectors.begin() + static_cast<std::ptrdiff_t>(size));
      uint64_t present;
      memcpy(&present, out.data() + kLegacyBytes, sizeof(present));
      present &= features;
      memcpy(out.data() + kLegacyBytes, &present, sizeof(present));
      description.magic1 = kMagic1;
      description.extended_size = static_cast<uint32_t>(size + sizeof(kMagic2));
      description.features = features;
      description.state_size = static_cast<uint32_t>(size);
      const auto* end = reinterpret_cast<const uint8_t*>(&kMagic2);
      out.insert(out.end(), end, end + sizeof(kMagic2));
    }
  }
  memcpy(out.data() + kVectorBytesPlace, &description, sizeof(description));
  return out;
}

void SetRegisters(const user_regs_struct& r, gregset_t& out) {
  const std::pair<int, uint64_t> values[] = {{REG_R8, r.r8},
                                             {REG_R9, r.r9},
                                             {REG_R10, r.r10},
                                             {REG_R11, r.r11},
                                             {REG_R12, r.r12},
                                             {REG_R13, r.r13},
                                             {REG_R14, r.r14},
                                             {REG_R15, r.r15},
                                             {REG_RDI, r.rdi},
                                             {REG_RSI, r.rsi},
                                             {REG_RBP, r.rbp},
                                             {REG_RBX, r.rbx},
                                             {REG_RDX, r.rdx},
                                             {REG_RAX, r.rax},
                                             {REG_RCX, r.rcx},
                                             {REG_RSP, r.rsp},
                                             {REG_RIP, r.rip},
                                             {REG_EFL, r.eflags},
                                             {REG_CSGSFS, (r.cs & 0xFFFF) | (r.ss & 0xFFFF) << 48}};
  for (const auto& [index, value] : values) out[index] = static_cast<greg_t>(value);
}

}  // namespace

ReturnFrame MakeReturnFrame(const user_regs_struct& registers, uint64_t mask,
                            absl::Span<const uint8_t> vectors, uint64_t restorer, uint64_t end) {
  user_regs_struct present = registers;
  const auto result = static_cast<int64_t>(present.rax);
  if (static_cast<int64_t>(present.orig_rax) >= 0 &&
      std::count(std::begin(kRestarts), std::end(kRestarts), result) != 0) {
    present.rax = present.orig_rax;
    present.rip -= kSystemCallBytes;
  }
  const std::vector<uint8_t> state = MakeVectors(vectors);
  const uint64_t state_address = (end - state.size()) & ~uint64_t{63};
  ReturnFrame frame;
  // As at the first instruction of a handler.
  frame.address = ((state_address - kFrameBytes) & ~uint64_t{15}) - sizeof(uint64_t);
  frame.bytes.resize(state_address - frame.address + state.size());
  ucontext_t context = {};
  context.uc_flags = kFlags;
  context.uc_stack.ss_flags = kNoStack;
  SetRegisters(present, context.uc_mcontext.gregs);
  memcpy(&context.uc_mcontext.fpregs, &state_address, sizeof(state_address));
  memcpy(&context.uc_sigmask, &mask, sizeof(mask));
  memcpy(frame.bytes.data(), &restorer, sizeof(restorer));
  memcpy(frame.bytes.data() + sizeof(restorer), &context, kContextBytes);
  memcpy(frame.bytes.data() + (state_address - frame.address), state.data(), state.size());
  return frame;
}

}  // namespace flightrec::target
