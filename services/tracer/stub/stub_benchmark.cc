// What a stub costs its thread, each mode against the function alone. The lane is one lap of warm
// memory that nobody reads: no slow path, no page is populated.

#include <benchmark/benchmark.h>
#include <string.h>
#include <sys/mman.h>

#include <cstdint>
#include <vector>

#include "services/tracer/agent/state.h"
#include "services/tracer/lane/layout.h"
#include "services/tracer/stub/stub.h"

namespace flightrec::stub {
namespace {

constexpr uint32_t kRingBytes = 1u << 16;
constexpr uint32_t kFilteredOffset = 4096;
constexpr uint32_t kRingOffset = 8192;
constexpr size_t kShadowBytes = 4096;
constexpr size_t kCodeBytes = 8192;
constexpr uint64_t kNever = ~uint64_t{0};

using Function = long (*)(long);

unsigned char* Map(size_t bytes, int protection) {
  void* memory = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<unsigned char*>(memory);
}

// One hooked function of this thread.
class Hooked {
 public:
  Hooked(LaneGeometry mode, uint64_t call_limit) {
    // private shadow | shared shadow | control, filtered, ring
    memory_ = Map(2 * kShadowBytes + kRingOffset + kRingBytes, PROT_READ | PROT_WRITE);
    code_ = Map(kCodeBytes, PROT_READ | PROT_WRITE | PROT_EXEC);
    unsigned char* const control = memory_ + 2 * kShadowBytes;
    mode.shared_distance = kShadowBytes;
    mode.ring_offset = kRingOffset;
    mode.ring_bytes = kRingBytes;
    mode.filtered_offset = kFilteredOffset;
    reinterpret_cast<lane::SlotControl*>(control)->call_limit = call_limit;
    auto* root = reinterpret_cast<agent::ShadowEntry*>(memory_);
    root->slot = agent::kRootSlot;
    asm volatile("rdfsbase %0" : "=r"(block_.owner));
    block_.top = reinterpret_cast<uint64_t>(root + 1);
    block_.shadow_limit = reinterpret_cast<uint64_t>(memory_ + kShadowBytes);
    block_.ring_limit = kNever;
    block_.control = reinterpret_cast<uint64_t>(control);
    // add $1, %rdi; mov %rdi, %rax; ret
    constexpr uint8_t kBody[] = {0x48, 0x83, 0xC7, 0x01, 0x48, 0x89, 0xF8, 0xC3};
    memcpy(code_ + kCodeBytes / 2, kBody, sizeof(kBody));
    StubSpec spec;
    spec.address = reinterpret_cast<uint64_t>(code_);
    spec.function_id = 0x1122334455667788;
    spec.relocated = spec.address + kCodeBytes / 2;
    spec.entry_thunk = spec.exit_thunk = spec.address;
    const std::vector<uint8_t> stub = EmitStub(spec, mode);
    memcpy(code_, stub.data(), stub.size());
    asm volatile("wrgsbase %0" : : "r"(&block_) : "memory");
  }
  ~Hooked() {
    asm volatile("wrgsbase %0" : : "r"(uint64_t{0}) : "memory");
    munmap(memory_, 2 * kShadowBytes + kRingOffset + kRingBytes);
    munmap(code_, kCodeBytes);
  }

  Function function() const { return reinterpret_cast<Function>(code_); }
  Function original() const { return reinterpret_cast<Function>(code_ + kCodeBytes / 2); }

 private:
  agent::ThreadBlock block_ = {};
  unsigned char* memory_;
  unsigned char* code_;
};

void Run(benchmark::State& state, Function function) {
  long value = 0;
  for (auto _ : state) {
    value = function(value);
    benchmark::DoNotOptimize(value);
  }
}

uint64_t clock_line = 1;

LaneGeometry Mode(bool coarse, uint64_t min_duration_ticks, bool limits_calls) {
  LaneGeometry mode;
  if (coarse) mode.clock_line = reinterpret_cast<uint64_t>(&clock_line);
  mode.min_duration_ticks = min_duration_ticks;
  mode.limits_calls = limits_calls;
  return mode;
}

void Plain(benchmark::State& state) {
  const Hooked hooked(Mode(false, 0, false), kNever);
  Run(state, hooked.original());
}

void Stub(benchmark::State& state, const LaneGeometry& mode, uint64_t limit) {
  const Hooked hooked(mode, limit);
  Run(state, hooked.function());
}

BENCHMARK(Plain);
BENCHMARK_CAPTURE(Stub, exact, Mode(false, 0, false), kNever);
BENCHMARK_CAPTURE(Stub, coarse, Mode(true, 0, false), kNever);
BENCHMARK_CAPTURE(Stub, exact_too_short, Mode(false, uint64_t{1} << 40, false), kNever);
BENCHMARK_CAPTURE(Stub, exact_limit_not_reached, Mode(false, 0, true), kNever);
BENCHMARK_CAPTURE(Stub, muted, Mode(false, 0, true), uint64_t{0});

}  // namespace
}  // namespace flightrec::stub
