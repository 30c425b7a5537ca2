// Executes a few instructions of a module in an emulated x86-64, to compare two
// copies of them. For tests; not thread-safe. Knows nothing of patches.
//
// Registers, stack, thread data and every writable byte of the module have
// random contents that depend on the seed, the state and the address only, so
// two runs with the same state see the same machine. A run leaves memory as it
// was. Where sums of random pointers lead there are zeros; other memory that is
// touched appears with random content, up to a limit.

#ifndef SERVICES_TRACER_PATCH_EMULATOR_H_
#define SERVICES_TRACER_PATCH_EMULATOR_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::patch {

// Execution is watched from `begin` until it reaches an address outside
// [begin, end), or `stop` after at least one instruction.
struct CodeWindow {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t stop = 0;  // 0: none
};

enum class RunEnd : uint8_t {
  kLeft,         // next is the address that would be executed next
  kException,    // the processor raised one at next: ud2, division by zero
  kUnsupported,  // the emulator does not know the instruction at next
  kMemory,       // an address that cannot be emulated was touched
  kEndless,      // more than kMaxSteps instructions
};

// 16 general registers, then flags.
inline constexpr size_t kGeneralRegisters = 17;
// XMM as pairs of words, then the x87 stack as pairs, then MXCSR and x87 status.
inline constexpr size_t kVectorWords = 16 * 2 + 8 * 2 + 2;

struct RunResult {
  RunEnd end = RunEnd::kLeft;
  uint64_t next = 0;
  std::array<uint64_t, kGeneralRegisters> general = {};
  std::array<uint64_t, kVectorWords> vector = {};
  std::map<uint64_t, uint8_t> written;  // bytes that differ from before, by address

  // "" or the first difference, for people. `end` and `next` are compared too.
  std::string Difference(const RunResult& other) const;
};

class Emulator {
 public:
  static constexpr uint32_t kStates = 32;
  static constexpr int kMaxSteps = 1000;

  // Maps the module as a loader would, and executable memory with `code` behind it. INTERNAL: the
  // emulator refuses.
  static absl::StatusOr<std::unique_ptr<Emulator>> Create(const symbols::Module& module,
                                                          uint64_t load_bias, uint64_t code_address,
                                                          absl::Span<const uint8_t> code,
                                                          uint64_t seed);
  ~Emulator();
  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;

  // `state` < kStates chooses the initial registers.
  RunResult Run(const CodeWindow& window, uint32_t state);

 private:
  class Machine;

  explicit Emulator(std::unique_ptr<Machine> machine);

  std::unique_ptr<Machine> machine_;
};

}  // namespace flightrec::patch

#endif  // SERVICES_TRACER_PATCH_EMULATOR_H_
