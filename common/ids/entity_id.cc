#include "common/ids/entity_id.h"

namespace flightrec::ids {
namespace {

constexpr uint64_t kFnvOffsetBasis = 0xCBF29CE484222325u;
constexpr uint64_t kFnvPrime = 0x100000001B3u;

// First byte hashed, so that equal fields of different kinds differ.
enum class Domain : uint8_t { kProcess = 1, kThread = 2, kFunction = 3 };

class IdHash {
 public:
  explicit IdHash(Domain domain) { AddByte(static_cast<uint8_t>(domain)); }

  IdHash& AddInteger(uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) {
      AddByte(static_cast<uint8_t>(value >> shift));
    }
    return *this;
  }

  IdHash& AddBytes(absl::string_view bytes) {
    AddInteger(bytes.size());
    for (const char c : bytes) AddByte(static_cast<uint8_t>(c));
    return *this;
  }

  uint64_t Finish() const {
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return z == 0 ? 1 : z;
  }

 private:
  void AddByte(uint8_t byte) { state_ = (state_ ^ byte) * kFnvPrime; }

  uint64_t state_ = kFnvOffsetBasis;
};

}  // namespace

ProcessId ComputeProcessId(absl::string_view boot_id, uint32_t pid, uint64_t start_time_ticks) {
  return IdHash(Domain::kProcess)
      .AddBytes(boot_id)
      .AddInteger(pid)
      .AddInteger(start_time_ticks)
      .Finish();
}

ThreadId ComputeThreadId(ProcessId process_id, uint32_t tid, uint64_t registration_ordinal) {
  return IdHash(Domain::kThread)
      .AddInteger(process_id)
      .AddInteger(tid)
      .AddInteger(registration_ordinal)
      .Finish();
}

FunctionId ComputeFunctionId(absl::string_view build_id, uint64_t module_offset) {
  return IdHash(Domain::kFunction).AddBytes(build_id).AddInteger(module_offset).Finish();
}

}  // namespace flightrec::ids
