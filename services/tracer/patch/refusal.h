// Why a function is not hooked. Plain data, thread-safe. The names are part of
// what users see and filter by: they are never renamed, only added to.

#ifndef SERVICES_TRACER_PATCH_REFUSAL_H_
#define SERVICES_TRACER_PATCH_REFUSAL_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::patch {

enum class RefusalReason : uint8_t {
  kTooShort,              // fewer than 5 bytes up to the next function
  kJumpIntoPrologue,      // a branch or jump table ends inside the 5 bytes
  kLoopsToEntry,          // its own body jumps back to the first instruction
  kUndecodable,           // bytes of the window are not x86-64 instructions
  kUnrelocatable,         // an instruction of the window cannot be moved
  kCallReturnsIntoPatch,  // a call of the window would return into the 5 bytes
  kNotInCode,             // outside the executable segments of the file
  kColdFragment,          // not an entry: part of another function
  kNotAFunctionEntry,     // its unwind information shows a frame at byte 0
  kIfuncResolver,         // runs inside the dynamic loader
  kProgramEntry,          // _start, __libc_start_main: has no caller
  kCompilerGlue,          // _init, frame_dummy, ...
  kDynamicLoader,         // ld.so: runs before anything is ready
  kSavesContext,          // setjmp, longjmp, getcontext, ... families
  kReturnsTwice,          // vfork, clone: parent and child share the stack
  kUnwinder,              // _Unwind_*, _dl_find_object
  kReadsCaller,           // dlopen, dlsym, mcount, ...: use their return address
  kThreadLocalResolver,   // __tls_get_addr, _dl_tlsdesc_*: special convention
  kSignalReturn,          // __restore_rt: entered by the kernel
  kUsesRbx,               // hand-written code that takes rbx as an input or clobbers it
  kBranchThunk,           // retpolines: rewrite their return address
  kStackWalkingRuntime,   // the module is V8's: its code reads return addresses off the stack
  kGoRuntime,             // the module is Go's: its stacks move
  kCancellationPoint,     // a signal handler asks whether a thread stands in it
  kHiddenUnwinder,        // the module's unwinder has no names and was not found
};

inline constexpr int kRefusalReasonCount = 25;

// "JUMP_INTO_PROLOGUE": stable, for counters and filters.
absl::string_view ReasonName(RefusalReason reason);

// One sentence for a user.
absl::string_view ReasonSentence(RefusalReason reason);

// The reason that holds for every function of a module, whatever it is named.
absl::optional<RefusalReason> RefusedByModule(const symbols::Module& module);

// The reason that follows from what the function is or how it is called, before
// any look at its code.
absl::optional<RefusalReason> RefusedByName(const symbols::Function& function);

struct Refusal {
  uint32_t function = 0;  // index into Module.functions
  RefusalReason reason = RefusalReason::kTooShort;
  std::string detail;  // addresses and instructions, may be empty
};

}  // namespace flightrec::patch

#endif  // SERVICES_TRACER_PATCH_REFUSAL_H_
