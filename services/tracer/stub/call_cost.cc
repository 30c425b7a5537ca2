#include "services/tracer/stub/call_cost.h"

#include <errno.h>
#include <immintrin.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/tracer/agent/state.h"
#include "services/tracer/lane/layout.h"
#include "services/tracer/stub/stub.h"

namespace flightrec::stub {
namespace {

constexpr unsigned long kHasFsgsbase = 1u << 1;  // in AT_HWCAP2
constexpr int kRounds = 15;
constexpr int kCallsPerRound = 5000;
constexpr size_t kRingBytes = 1 << 20;  // as the default lane
constexpr size_t kDepth = 4;
constexpr size_t kCodeBytes = 4096;
constexpr size_t kLeafOffset = 2048;
constexpr uint8_t kRet = 0xC3;

using Leaf = void();

// The memory of one thread as a traced process has it. The calls never leave
// the fast path, so there is no agent.
struct Memory {
  agent::ThreadBlock block;
  agent::ShadowEntry shadow[kDepth];
  lane::OpenCallEntry open[kDepth];
  lane::SlotControl control;
  alignas(64) uint8_t ring[kRingBytes];
};

// Not inlined, so that both loops are the same code.
[[gnu::noinline]] void CallOften(Leaf* function) {
  for (int i = 0; i < kCallsPerRound; ++i) function();
}

int64_t ThreadNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

double LowestPerCall(Leaf* function) {
  int64_t lowest = std::numeric_limits<int64_t>::max();
  for (int round = 0; round < kRounds; ++round) {
    const int64_t start = ThreadNanoseconds();
    CallOften(function);
    lowest = std::min(lowest, ThreadNanoseconds() - start);
  }
  return static_cast<double>(lowest) / kCallsPerRound;
}

uint64_t Address(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

void Prepare(Memory& memory, uint64_t thread_pointer) {
  std::memset(&memory, 0, sizeof(memory));
  memory.shadow[0].slot = agent::kRootSlot;
  memory.block.owner = thread_pointer;
  memory.block.top = Address(&memory.shadow[1]);
  memory.block.shadow_base = Address(&memory.shadow[0]);
  memory.block.shadow_limit = Address(&memory.shadow[kDepth]);
  memory.block.ring_limit = ~uint64_t{0};
  memory.block.control = Address(&memory.control);
}

LaneGeometry GeometryOf(const Memory& memory) {
  LaneGeometry geometry;
  geometry.shared_distance =
      static_cast<int32_t>(Address(&memory.open[0]) - Address(&memory.shadow[0]));
  geometry.ring_offset = static_cast<uint32_t>(Address(memory.ring) - Address(&memory.control));
  geometry.ring_bytes = kRingBytes;
  return geometry;
}

// On a thread that ends afterwards.
[[gnu::target("fsgsbase")]] double MeasureHere(Memory& memory, uint8_t* code) {
  Prepare(memory, _readfsbase_u64());
  const uint64_t before = _readgsbase_u64();
  _writegsbase_u64(Address(&memory.block));
  const double hooked = LowestPerCall(reinterpret_cast<Leaf*>(code));
  _writegsbase_u64(before);
  return hooked - LowestPerCall(reinterpret_cast<Leaf*>(code + kLeafOffset));
}

}  // namespace

absl::StatusOr<double> MeasureCallCost() {
  if ((getauxval(AT_HWCAP2) & kHasFsgsbase) == 0) {
    return absl::UnavailableError("this kernel does not let programs use the gs base (FSGSBASE)");
  }
  void* const page =
      mmap(nullptr, kCodeBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) {
    return absl::UnavailableError(absl::StrCat("mmap of a page for code: ", strerror(errno)));
  }
  auto* const code = static_cast<uint8_t*>(page);
  std::vector<Memory> memory(1);
  StubSpec spec;
  spec.address = Address(code);
  spec.function_id = 1;
  spec.relocated = Address(code + kLeafOffset);
  // Never called.
  spec.entry_thunk = spec.exit_thunk = spec.relocated;
  const std::vector<uint8_t> stub = EmitStub(spec, GeometryOf(memory[0]));
  absl::StatusOr<double> cost = absl::UnavailableError("a stub does not fit its page");
  if (stub.size() <= kLeafOffset) {
    std::copy(stub.begin(), stub.end(), code);
    code[kLeafOffset] = kRet;
    if (mprotect(page, kCodeBytes, PROT_READ | PROT_EXEC) != 0) {
      cost = absl::UnavailableError(absl::StrCat("mprotect of code: ", strerror(errno)));
    } else {
      std::thread([&] { cost = std::max(0.0, MeasureHere(memory[0], code)); }).join();
    }
  }
  munmap(page, kCodeBytes);
  return cost;
}

}  // namespace flightrec::stub
