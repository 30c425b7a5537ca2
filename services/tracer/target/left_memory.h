// Which memory of a killed tracer is still in a process. Between two calls of munmap and in the
// moments around mmap only the process itself knows; what may be the program's own by now is left.
//
// Stateless function, thread-safe; reads /proc.
#ifndef SERVICES_TRACER_TARGET_LEFT_MEMORY_H_
#define SERVICES_TRACER_TARGET_LEFT_MEMORY_H_

#include <sys/types.h>

#include <cstdint>
#include <map>

#include "absl/status/statusor.h"
#include "services/tracer/target/hook_journal.h"

namespace flightrec::target {

// By address, each with its kind. NOT_FOUND: the process has ended.
absl::StatusOr<std::map<uint64_t, JournalMemory>> FindLeftMemory(pid_t pid,
                                                                 const JournalContent& journal);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_LEFT_MEMORY_H_
