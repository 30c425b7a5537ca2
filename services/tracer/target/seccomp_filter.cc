#include "services/tracer/target/seccomp_filter.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>

#include <algorithm>
#include <array>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace flightrec::target {
namespace {

constexpr int kGetFilter = 0x420c;  // PTRACE_SECCOMP_GET_FILTER

// The registers of a classic BPF program.
struct Machine {
  uint32_t a = 0;
  uint32_t x = 0;
  std::array<uint32_t, BPF_MEMWORDS> memory = {};
};

bool Compute(const sock_filter& step, Machine& m) {
  const uint32_t by = BPF_SRC(step.code) == BPF_X ? m.x : step.k;
  switch (BPF_OP(step.code)) {
    case BPF_ADD:
      m.a += by;
      return true;
    case BPF_SUB:
      m.a -= by;
      return true;
    case BPF_MUL:
      m.a *= by;
      return true;
    case BPF_DIV:
      if (by != 0) m.a /= by;
      return by != 0;
    case BPF_AND:
      m.a &= by;
      return true;
    case BPF_OR:
      m.a |= by;
      return true;
    case BPF_XOR:
      m.a ^= by;
      return true;
    case BPF_LSH:
      m.a = by < 32 ? m.a << by : 0;
      return true;
    case BPF_RSH:
      m.a = by < 32 ? m.a >> by : 0;
      return true;
    case BPF_NEG:
      m.a = 0u - m.a;
      return true;
    default:
      return false;
  }
}

bool Holds(const sock_filter& step, const Machine& m) {
  const uint32_t with = BPF_SRC(step.code) == BPF_X ? m.x : step.k;
  switch (BPF_OP(step.code)) {
    case BPF_JEQ:
      return m.a == with;
    case BPF_JGT:
      return m.a > with;
    case BPF_JGE:
      return m.a >= with;
    default:  // BPF_JSET
      return (m.a & with) != 0;
  }
}

// False: not a step that the kernel takes in a seccomp filter.
bool Load(const sock_filter& step, const seccomp_data& call, uint32_t& to, const Machine& m) {
  switch (BPF_MODE(step.code)) {
    case BPF_IMM:
      to = step.k;
      return true;
    case BPF_MEM:
      if (step.k < m.memory.size()) to = m.memory[step.k];
      return step.k < m.memory.size();
    case BPF_LEN:
      to = sizeof(call);
      return true;
    case BPF_ABS:
      if (step.k % sizeof(to) != 0 || step.k > sizeof(call) - sizeof(to)) return false;
      memcpy(&to, reinterpret_cast<const uint8_t*>(&call) + step.k, sizeof(to));
      return true;
    default:
      return false;
  }
}

bool Store(const sock_filter& step, uint32_t value, Machine& m) {
  if (step.k >= m.memory.size()) return false;
  m.memory[step.k] = value;
  return true;
}

bool Run(const sock_filter& step, const seccomp_data& call, Machine& m) {
  switch (BPF_CLASS(step.code)) {
    case BPF_LD:
      return Load(step, call, m.a, m);
    case BPF_LDX:
      return Load(step, call, m.x, m);
    case BPF_ST:
      return Store(step, m.a, m);
    case BPF_STX:
      return Store(step, m.x, m);
    case BPF_ALU:
      return Compute(step, m);
    case BPF_MISC:
      (BPF_MISCOP(step.code) == BPF_TAX ? m.x : m.a) = BPF_MISCOP(step.code) == BPF_TAX ? m.a : m.x;
      return true;
    default:
      return false;
  }
}

}  // namespace

absl::StatusOr<std::vector<SeccompProgram>> ReadFilters(pid_t tid) {
  std::vector<SeccompProgram> filters;
  for (uint32_t i = 0; i < kMaxSeccompFilters; ++i) {
    const auto request = static_cast<__ptrace_request>(kGetFilter);
    const long length = ptrace(request, tid, static_cast<uintptr_t>(i), nullptr);
    if (length < 0 && errno == ENOENT) return filters;
    if (length >= 0) {
      filters.emplace_back(static_cast<size_t>(length));
      if (ptrace(request, tid, static_cast<uintptr_t>(i), filters.back().data()) >= 0) continue;
    }
    const int error = errno;
    const std::string text =
        absl::StrCat("the seccomp filters of thread ", tid, " cannot be read: ", strerror(error));
    if (error == EACCES || error == EPERM) {
      return absl::PermissionDeniedError(absl::StrCat(
          text, "; run the tracer with CAP_SYS_ADMIN and without a seccomp filter of its own"));
    }
    return absl::UnimplementedError(
        absl::StrCat(text, "; the kernel needs CONFIG_CHECKPOINT_RESTORE"));
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("thread ", tid, " has more than ", kMaxSeccompFilters, " seccomp filters"));
}

uint32_t Evaluate(absl::Span<const sock_filter> program, const seccomp_data& call) {
  Machine m;
  // Jumps lead forward only.
  for (size_t pc = 0; pc < program.size();) {
    const sock_filter& step = program[pc++];
    if (BPF_CLASS(step.code) == BPF_RET) return BPF_RVAL(step.code) == BPF_A ? m.a : step.k;
    if (BPF_CLASS(step.code) == BPF_JMP) {
      pc += BPF_OP(step.code) == BPF_JA ? step.k : (Holds(step, m) ? step.jt : step.jf);
      continue;
    }
    if (!Run(step, call, m)) break;
  }
  return SECCOMP_RET_KILL_PROCESS;
}

bool Allows(absl::Span<const SeccompProgram> filters, const seccomp_data& call) {
  return std::all_of(filters.begin(), filters.end(), [&call](const SeccompProgram& filter) {
    const uint32_t action = Evaluate(filter, call) & SECCOMP_RET_ACTION_FULL;
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
  });
}

}  // namespace flightrec::target
