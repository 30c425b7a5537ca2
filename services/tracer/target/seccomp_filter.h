// What a process's seccomp filters would do with a system call: the classic BPF programs that the
// kernel keeps, run here.
//
// Evaluate is a pure function, thread-safe. ReadFilters is for the thread that traces the process,
// which is stopped.
#ifndef SERVICES_TRACER_TARGET_SECCOMP_FILTER_H_
#define SERVICES_TRACER_TARGET_SECCOMP_FILTER_H_

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace flightrec::target {

using SeccompProgram = std::vector<sock_filter>;

// Filters of one thread beyond this are refused.
inline constexpr uint32_t kMaxSeccompFilters = 1024;

// The filters of a stopped thread. PERMISSION_DENIED: it takes CAP_SYS_ADMIN, and no filter of the
// tracer's own. UNIMPLEMENTED: this kernel does not tell.
absl::StatusOr<std::vector<SeccompProgram>> ReadFilters(pid_t tid);

// SECCOMP_RET_* with its data. A program that the kernel would not have taken kills.
uint32_t Evaluate(absl::Span<const sock_filter> program, const seccomp_data& call);

// Whether all filters let the call through.
bool Allows(absl::Span<const SeccompProgram> filters, const seccomp_data& call);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_SECCOMP_FILTER_H_
