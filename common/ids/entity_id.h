// 64-bit ids of processes, threads and functions: hashes of what identifies
// them, so that tracers on different hosts give the same function the same id
// without talking to each other.
//
// The hash never changes: ids are stored. It is FNV-1a (64 bit) over a domain
// byte and the fields (integers as 8 bytes little-endian, a byte string behind
// its length), finalised by the mixer of splitmix64. An id is never 0: 0
// means "none" everywhere.
//
// Thread-safe: pure functions. Does not detect collisions.
#ifndef COMMON_IDS_ENTITY_ID_H_
#define COMMON_IDS_ENTITY_ID_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace flightrec::ids {

using ProcessId = uint64_t;
using ThreadId = uint64_t;
using FunctionId = uint64_t;

// `boot_id` is the text of /proc/sys/kernel/random/boot_id without the newline;
// `start_time_ticks` is field 22 of /proc/PID/stat.
ProcessId ComputeProcessId(absl::string_view boot_id, uint32_t pid, uint64_t start_time_ticks);

// `registration_ordinal` tells threads apart that reuse a tid.
ThreadId ComputeThreadId(ProcessId process_id, uint32_t tid, uint64_t registration_ordinal);

// `build_id` is the raw note, or another content hash of a module without one;
// `module_offset` is the entry's virtual address in the file, before relocation.
FunctionId ComputeFunctionId(absl::string_view build_id, uint64_t module_offset);

}  // namespace flightrec::ids

#endif  // COMMON_IDS_ENTITY_ID_H_
