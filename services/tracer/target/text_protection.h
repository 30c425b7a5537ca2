// Code that a process has mapped in a way that keeps the tracer from changing it for this process
// only: shared with others, or in huge pages of hugetlbfs.
//
// Stateless functions, thread-safe; nothing is stopped or changed.
#ifndef SERVICES_TRACER_TARGET_TEXT_PROTECTION_H_
#define SERVICES_TRACER_TARGET_TEXT_PROTECTION_H_

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "services/tracer/inject/memory_map.h"

namespace flightrec::target {

// FAILED_PRECONDITION with cause and remedy: one of the addresses lies in such a mapping. Addresses
// that are not mapped are nobody's.
absl::Status CheckChangeable(pid_t pid, const inject::MemoryMap& map,
                             std::vector<uint64_t> addresses);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_TEXT_PROTECTION_H_
