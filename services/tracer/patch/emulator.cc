#include "services/tracer/patch/emulator.h"

#include <unicorn/unicorn.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"

namespace flightrec::patch {
namespace {

constexpr uint64_t kPage = 4096;
// Where random pointers lead: its middle half.
constexpr uint64_t kArena = 0x10000000;
constexpr uint64_t kArenaBytes = 1 << 22;
constexpr uint64_t kStack = kArena + kArenaBytes / 2;
constexpr uint64_t kThread = kArena + kArenaBytes / 4;
// Pointer + 8 * pointer is below.
constexpr uint64_t kLowMemoryEnd = uint64_t{1} << 32;
constexpr uint64_t kNowhere = ~uint64_t{0};
// Each slows the emulator.
constexpr size_t kMaxExtraPages = 64;

constexpr std::array<int, 16> kGeneral = {
    UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX, UC_X86_REG_RSP, UC_X86_REG_RBP,
    UC_X86_REG_RSI, UC_X86_REG_RDI, UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15};
constexpr const char* kGeneralNames[kGeneralRegisters] = {"rax", "rcx", "rdx", "rbx", "rsp",  "rbp",
                                                          "rsi", "rdi", "r8",  "r9",  "r10",  "r11",
                                                          "r12", "r13", "r14", "r15", "flags"};

// splitmix64.
uint64_t Mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

// Mostly pointers to where something is, sometimes small numbers.
uint64_t RandomWord(uint64_t random) {
  if (random % 4 == 0) return random >> 59;
  return kArena + kArenaBytes / 4 + (random >> 8) % (kArenaBytes / 2);
}

uint64_t PageOf(uint64_t address) { return address & ~(kPage - 1); }

}  // namespace

class Emulator::Machine {
 public:
  explicit Machine(uint64_t seed) : seed_(seed) {}
  ~Machine() {
    for (uc_context* state : states_) uc_context_free(state);
    if (engine_ != nullptr) uc_close(engine_);
  }

  absl::Status Open();
  absl::Status MapModule(const symbols::Module& module, uint64_t bias, uint64_t code_address,
                         absl::Span<const uint8_t> code);
  absl::Status MakeStates();
  RunResult Run(const CodeWindow& window, uint32_t state);

 private:
  static void OnCode(uc_engine*, uint64_t address, uint32_t, void* self) {
    static_cast<Machine*>(self)->Step(address);
  }
  static void OnWrite(uc_engine*, uc_mem_type, uint64_t address, int size, int64_t, void* self) {
    static_cast<Machine*>(self)->Remember(address, size);
  }
  static bool OnUnmapped(uc_engine*, uc_mem_type, uint64_t address, int size, int64_t, void* self) {
    return static_cast<Machine*>(self)->Appear(address, size);
  }

  static absl::Status Check(uc_err error, const char* what) {
    if (error == UC_ERR_OK) return absl::OkStatus();
    return absl::InternalError(absl::StrFormat("%s: %s", what, uc_strerror(error)));
  }

  void Step(uint64_t address);
  void Remember(uint64_t address, int size);
  bool Appear(uint64_t address, int size);
  std::vector<uint8_t> RandomBytes(uint64_t begin, uint64_t end) const;
  RunEnd EndOf(uc_err error) const;
  void ReadRegisters(RunResult& result);
  void TakeWritten(RunResult& result);
  absl::Status MapLow(uint64_t begin, uint64_t end);

  const uint64_t seed_;
  uc_engine* engine_ = nullptr;
  std::vector<uc_context*> states_;
  std::set<uint64_t> extra_pages_;

  CodeWindow window_;  // of the run that is going on
  int steps_ = 0;
  bool left_ = false;
  uint64_t next_ = 0;
  std::map<uint64_t, uint8_t> before_;  // of bytes written, by address
};

absl::Status Emulator::Machine::Open() {
  absl::Status status = Check(uc_open(UC_ARCH_X86, UC_MODE_64, &engine_), "uc_open");
  if (!status.ok()) return status;
  status = Check(uc_ctl_set_cpu_model(engine_, UC_CPU_X86_EPYC_ROME), "cpu model");
  if (!status.ok()) return status;
  uc_hook hook;
  const auto add = [&](int type, void* callback) {
    if (!status.ok()) return;
    status = Check(uc_hook_add(engine_, &hook, type, callback, this, 1, 0), "hook");
  };
  add(UC_HOOK_CODE, reinterpret_cast<void*>(&OnCode));
  add(UC_HOOK_MEM_WRITE, reinterpret_cast<void*>(&OnWrite));
  add(UC_HOOK_MEM_READ_UNMAPPED | UC_HOOK_MEM_WRITE_UNMAPPED, reinterpret_cast<void*>(&OnUnmapped));
  return status;
}

// The module with what is behind it, and data around it.
absl::Status Emulator::Machine::MapModule(const symbols::Module& module, uint64_t bias,
                                          uint64_t code_address, absl::Span<const uint8_t> code) {
  uint64_t low = PageOf(code_address);
  const uint64_t high = PageOf(code_address + code.size() + kPage - 1);
  for (const symbols::Segment& segment : module.segments) {
    low = std::min(low, PageOf(segment.vaddr + bias));
  }
  absl::Status status = Check(uc_mem_map(engine_, low, high - low, UC_PROT_ALL), "module");
  for (const symbols::Segment& segment : module.segments) {
    if (!status.ok()) return status;
    const uint64_t begin = segment.vaddr + bias;
    const std::vector<uint8_t> content =
        segment.writable ? RandomBytes(begin, begin + segment.memory_size) : segment.bytes;
    status = Check(uc_mem_write(engine_, begin, content.data(), content.size()), "segment");
  }
  if (status.ok()) {
    status = Check(uc_mem_write(engine_, code_address, code.data(), code.size()), "code");
  }
  if (status.ok()) status = MapLow(0, std::min(low, kLowMemoryEnd));
  if (status.ok()) status = MapLow(high, kLowMemoryEnd);
  const std::vector<uint8_t> content = RandomBytes(kArena, kArena + kArenaBytes);
  if (!status.ok()) return status;
  return Check(uc_mem_write(engine_, kArena, content.data(), content.size()), "arena");
}

absl::Status Emulator::Machine::MapLow(uint64_t begin, uint64_t end) {
  if (begin >= end) return absl::OkStatus();
  return Check(uc_mem_map(engine_, begin, end - begin, UC_PROT_READ | UC_PROT_WRITE), "memory");
}

absl::Status Emulator::Machine::MakeStates() {
  constexpr uint64_t kReserved = 0x2;
  constexpr uint64_t kArithmetic = 0x8d5;  // CF, PF, AF, ZF, SF, OF
  for (uint32_t i = 0; i < kStates; ++i) {
    const uint64_t base = Mix(seed_ + i);
    uint64_t use = base;
    for (const int reg : kGeneral) {
      use = Mix(use);
      uint64_t value = RandomWord(use);
      if (reg == UC_X86_REG_RSP) value = kStack + (use % 1024) * 16 + 8;
      if (reg == UC_X86_REG_RCX && i % 2 == 0) value = use % 8;  // counts of string instructions
      uc_reg_write(engine_, reg, &value);
    }
    for (int reg = UC_X86_REG_XMM0; reg <= UC_X86_REG_XMM15; ++reg) {
      const uint64_t pair[2] = {Mix(use + 1), Mix(use + 2)};
      use = Mix(use);
      uc_reg_write(engine_, reg, pair);
    }
    const uint64_t flags = kReserved | (Mix(use) & kArithmetic);
    uc_reg_write(engine_, UC_X86_REG_RFLAGS, &flags);
    const uint64_t thread = kThread + i * kPage;
    uc_reg_write(engine_, UC_X86_REG_FS_BASE, &thread);
    uc_context* state = nullptr;
    absl::Status status = Check(uc_context_alloc(engine_, &state), "context");
    if (!status.ok()) return status;
    states_.push_back(state);
    status = Check(uc_context_save(engine_, state), "context");
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::vector<uint8_t> Emulator::Machine::RandomBytes(uint64_t begin, uint64_t end) const {
  std::vector<uint8_t> bytes(end - begin);
  for (uint64_t word = begin & ~7ull; word < end; word += 8) {
    const uint64_t value = RandomWord(Mix(word ^ seed_));
    for (uint64_t i = 0; i < 8; ++i) {
      if (word + i < begin || word + i >= end) continue;
      bytes[word + i - begin] = static_cast<uint8_t>(value >> (8 * i));
    }
  }
  return bytes;
}

void Emulator::Machine::Step(uint64_t address) {
  const bool outside = address < window_.begin || address >= window_.end;
  if (outside || (steps_ > 0 && address == window_.stop)) {
    left_ = true;
    next_ = address;
  } else if (++steps_ <= kMaxSteps) {
    return;
  }
  uc_emu_stop(engine_);
}

void Emulator::Machine::Remember(uint64_t address, int size) {
  uint8_t bytes[64] = {};
  const size_t count = std::min<size_t>(static_cast<size_t>(size), sizeof(bytes));
  if (uc_mem_read(engine_, address, bytes, count) != UC_ERR_OK) return;
  for (size_t i = 0; i < count; ++i) before_.emplace(address + i, bytes[i]);
}

bool Emulator::Machine::Appear(uint64_t address, int size) {
  const uint64_t last_byte = address + static_cast<uint64_t>(size) - 1;
  for (const uint64_t page : {PageOf(address), PageOf(last_byte)}) {
    uint8_t probe;
    if (uc_mem_read(engine_, page, &probe, 1) == UC_ERR_OK) continue;
    if (extra_pages_.size() == kMaxExtraPages) return false;
    if (uc_mem_map(engine_, page, kPage, UC_PROT_READ | UC_PROT_WRITE) != UC_ERR_OK) return false;
    const std::vector<uint8_t> content = RandomBytes(page, page + kPage);
    uc_mem_write(engine_, page, content.data(), content.size());
    extra_pages_.insert(page);
  }
  return true;
}

RunEnd Emulator::Machine::EndOf(uc_err error) const {
  if (left_) return RunEnd::kLeft;
  switch (error) {
    case UC_ERR_OK:
      return RunEnd::kEndless;
    case UC_ERR_FETCH_UNMAPPED:
    case UC_ERR_FETCH_PROT:
      return RunEnd::kLeft;
    case UC_ERR_INSN_INVALID:
      return RunEnd::kUnsupported;
    case UC_ERR_EXCEPTION:
      return RunEnd::kException;
    default:
      return RunEnd::kMemory;
  }
}

void Emulator::Machine::ReadRegisters(RunResult& result) {
  for (size_t i = 0; i < kGeneral.size(); ++i) {
    uc_reg_read(engine_, kGeneral[i], &result.general[i]);
  }
  uc_reg_read(engine_, UC_X86_REG_RFLAGS, &result.general[kGeneral.size()]);
  uint64_t* word = result.vector.data();
  for (int i = 0; i < 16; ++i, word += 2) uc_reg_read(engine_, UC_X86_REG_XMM0 + i, word);
  for (int i = 0; i < 8; ++i, word += 2) uc_reg_read(engine_, UC_X86_REG_ST0 + i, word);
  uc_reg_read(engine_, UC_X86_REG_MXCSR, word);
  uc_reg_read(engine_, UC_X86_REG_FPSW, word + 1);
}

void Emulator::Machine::TakeWritten(RunResult& result) {
  for (const auto& [address, before] : before_) {
    uint8_t after = before;
    uc_mem_read(engine_, address, &after, 1);
    if (after == before) continue;
    result.written.emplace(address, after);
    uc_mem_write(engine_, address, &before, 1);
  }
}

RunResult Emulator::Machine::Run(const CodeWindow& window, uint32_t state) {
  uc_context_restore(engine_, states_[state]);
  window_ = window;
  steps_ = 0;
  left_ = false;
  next_ = 0;
  before_.clear();
  const uc_err error = uc_emu_start(engine_, window.begin, kNowhere, 0, 0);
  RunResult result;
  result.end = EndOf(error);
  result.next = next_;
  if (!left_) uc_reg_read(engine_, UC_X86_REG_RIP, &result.next);
  ReadRegisters(result);
  TakeWritten(result);
  return result;
}

std::string RunResult::Difference(const RunResult& other) const {
  if (end != other.end) {
    return absl::StrFormat("ends in way %d, not %d", static_cast<int>(other.end),
                           static_cast<int>(end));
  }
  if (end == RunEnd::kLeft && next != other.next) {
    return absl::StrFormat("goes on at %#x, not %#x", other.next, next);
  }
  for (size_t i = 0; i < kGeneralRegisters; ++i) {
    if (general[i] == other.general[i]) continue;
    return absl::StrFormat("%s is %#x, not %#x", kGeneralNames[i], other.general[i], general[i]);
  }
  for (size_t i = 0; i < kVectorWords; ++i) {
    if (vector[i] == other.vector[i]) continue;
    return absl::StrFormat("vector word %d is %#x, not %#x", i, other.vector[i], vector[i]);
  }
  if (written == other.written) return "";
  const auto different =
      std::mismatch(written.begin(), written.end(), other.written.begin(), other.written.end());
  const auto& where = different.first != written.end() ? *different.first : *different.second;
  return absl::StrFormat("memory at %#x differs", where.first);
}

Emulator::Emulator(std::unique_ptr<Machine> machine) : machine_(std::move(machine)) {}
Emulator::~Emulator() = default;

absl::StatusOr<std::unique_ptr<Emulator>> Emulator::Create(const symbols::Module& module,
                                                           uint64_t load_bias,
                                                           uint64_t code_address,
                                                           absl::Span<const uint8_t> code,
                                                           uint64_t seed) {
  auto machine = std::make_unique<Machine>(seed);
  absl::Status status = machine->Open();
  if (status.ok()) status = machine->MapModule(module, load_bias, code_address, code);
  if (status.ok()) status = machine->MakeStates();
  if (!status.ok()) return status;
  return std::unique_ptr<Emulator>(new Emulator(std::move(machine)));
}

RunResult Emulator::Run(const CodeWindow& window, uint32_t state) {
  return machine_->Run(window, state);
}

}  // namespace flightrec::patch
