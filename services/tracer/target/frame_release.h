// Takes the threads of a stopped process out of the hooks for good: afterwards none runs in code of
// the tracer, returns into it or finds a block through its gs base.
//
// A call of a hooked function that is still open returns through its stub, and its function's
// caller gets its rbx back from there (agent/README.md, invariants 1 and 2). Redirected, the slot
// has the caller's address again, and the address of the shadow entry is replaced by the caller's
// rbx in the thread's registers and wherever it was saved on its stacks.
//
// Stateless function for the thread that traces the process, whose text has no hooks any more.
#ifndef SERVICES_TRACER_TARGET_FRAME_RELEASE_H_
#define SERVICES_TRACER_TARGET_FRAME_RELEASE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "services/tracer/inject/remote_process.h"
#include "services/tracer/target/process_memory.h"
#include "services/tracer/target/thread_control.h"

namespace flightrec::target {

enum class OpenCalls { kAwait, kRedirect };

// Returns why it is not possible now; then nothing was changed, and it may be later. Empty: done.
// `unwinders` is their code: one that is at work may be about to look a stub up.
absl::StatusOr<std::string> ReleaseFrames(ThreadControl& threads, inject::RemoteProcess& process,
                                          const ProcessMemory& memory,
                                          absl::Span<const RegionSpace> unwinders,
                                          OpenCalls open_calls);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_FRAME_RELEASE_H_
