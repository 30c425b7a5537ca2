#include "services/tracer/patch/refusal.h"

#include <initializer_list>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"

namespace flightrec::patch {
namespace {

struct ReasonText {
  absl::string_view name;
  absl::string_view sentence;
};

// In the order of RefusalReason.
constexpr ReasonText kTexts[kRefusalReasonCount] = {
    {"TOO_SHORT", "It has fewer than the 5 bytes that a jump needs."},
    {"JUMP_INTO_PROLOGUE", "A branch or jump table leads into the bytes to be replaced."},
    {"LOOPS_TO_ENTRY",
     "It jumps back to its own first instruction, so each round of the loop would look like a "
     "call."},
    {"UNDECODABLE", "Its first bytes are not valid x86-64 instructions."},
    {"UNRELOCATABLE", "One of its first instructions works only at its own address."},
    {"CALL_RETURNS_INTO_PATCH", "A call at its start would return into the replaced bytes."},
    {"NOT_IN_CODE", "It is not in an executable part of the file."},
    {"COLD_FRAGMENT",
     "It is the unlikely part of another function, entered by a jump; trace that function "
     "instead."},
    {"NOT_A_FUNCTION_ENTRY",
     "It is entered with a stack frame in place, so it is not called like a function."},
    {"IFUNC_RESOLVER",
     "The dynamic loader runs it to choose an implementation; trace the implementation instead."},
    {"PROGRAM_ENTRY", "It starts the program and has no caller."},
    {"COMPILER_GLUE", "The compiler adds it to run constructors and destructors."},
    {"DYNAMIC_LOADER", "It belongs to the dynamic loader, which runs while nothing else can."},
    {"SAVES_CONTEXT",
     "It saves or restores the stack pointer and return address (setjmp and context families)."},
    {"RETURNS_TWICE", "Parent and child return from it (vfork and clone families)."},
    {"UNWINDER", "It belongs to the unwinder that finds the handlers of exceptions."},
    {"READS_CALLER", "It looks at its return address to learn who called."},
    {"THREAD_LOCAL_RESOLVER",
     "It finds thread-local variables and is called with a convention of its own."},
    {"SIGNAL_RETURN", "The kernel enters it when a signal handler returns."},
    {"USES_RBX", "It is hand-written code that uses register rbx without saving it first."},
    {"BRANCH_THUNK", "It is a compiler thunk that replaces its own return address."},
    {"STACK_WALKING_RUNTIME",
     "Its module holds V8, which reads return addresses off the stack, where a hook's would be."},
    {"GO_RUNTIME", "Its module holds the Go runtime, which moves stacks while functions run."},
    {"CANCELLATION_POINT",
     "The handler of pthread_cancel compares addresses with it, to end its system call."},
    {"HIDDEN_UNWINDER",
     "Its module has an unwinder without symbols that was not found, so exceptions could not cross "
     "hooks."},
};

using ReasonMap = absl::flat_hash_map<absl::string_view, RefusalReason>;

const ReasonMap& ReasonsByName() {
  static const auto* const kReasons = [] {
    auto* map = new ReasonMap;
    const auto add = [map](RefusalReason reason, std::initializer_list<absl::string_view> names) {
      for (const absl::string_view name : names) map->emplace(name, reason);
    };
    add(RefusalReason::kSavesContext, {"setjmp",          "_setjmp",
                                       "__setjmp",        "sigsetjmp",
                                       "__sigsetjmp",     "__sigjmp_save",
                                       "savectx",         "longjmp",
                                       "_longjmp",        "__longjmp",
                                       "____longjmp_chk", "__longjmp_chk",
                                       "siglongjmp",      "__libc_siglongjmp",
                                       "__libc_longjmp",  "_longjmp_unwind",
                                       "getcontext",      "__getcontext",
                                       "setcontext",      "__setcontext",
                                       "swapcontext",     "__swapcontext",
                                       "makecontext",     "__makecontext",
                                       "__start_context", "__push___start_context",
                                       "__morestack"});
    add(RefusalReason::kReturnsTwice,
        {"vfork", "__vfork", "__libc_vfork", "clone", "__clone", "clone3", "__clone3",
         "__clone_internal", "__clone3_internal", "__clone_internal_fallback"});
    add(RefusalReason::kReadsCaller, {"dlopen",
                                      "__dlopen",
                                      "___dlopen",
                                      "dlmopen",
                                      "__dlmopen",
                                      "___dlmopen",
                                      "dlsym",
                                      "__dlsym",
                                      "___dlsym",
                                      "dlvsym",
                                      "__dlvsym",
                                      "___dlvsym",
                                      "dlclose",
                                      "__dlclose",
                                      "___dlclose",
                                      "mcount",
                                      "_mcount",
                                      "__fentry__",
                                      "_dl_mcount",
                                      "_dl_mcount_wrapper",
                                      "_dl_mcount_wrapper_check"});
    add(RefusalReason::kThreadLocalResolver,
        {"__tls_get_addr", "__tls_get_addr_slow", "_dl_tlsdesc_return", "_dl_tlsdesc_undefweak",
         "_dl_tlsdesc_dynamic", "__tlsdesc_static", "__tlsdesc_dynamic"});
    add(RefusalReason::kUnwinder, {"_dl_find_object"});
    add(RefusalReason::kSignalReturn, {"__restore_rt", "__restore", "restore_rt", "__sigreturn"});
    add(RefusalReason::kProgramEntry,
        {"_start", "__libc_start_main", "__libc_start_main_impl", "__libc_start_call_main",
         "__libc_start_main_stage2", "libc_start_main_stage2", "_start_c", "__libc_main"});
    // musl's loader is its C library; the tracer's own hook is there.
    add(RefusalReason::kDynamicLoader, {"_dl_debug_state", "dl_debug_state"});
    // Of musl, and of glibc since 2.41.
    add(RefusalReason::kCancellationPoint,
        {"__syscall_cp_asm", "__cp_begin", "__syscall_cancel_arch", "__syscall_cancel_arch_start"});
    return map;
  }();
  return *kReasons;
}

absl::optional<RefusalReason> ReasonOfSymbol(absl::string_view symbol) {
  const ReasonMap& reasons = ReasonsByName();
  if (auto found = reasons.find(symbol); found != reasons.end()) {
    return found->second;
  }
  if (absl::StartsWith(symbol, "_Unwind_") || absl::StartsWith(symbol, "uw_") ||
      symbol == "_dl_find_object") {
    return RefusalReason::kUnwinder;
  }
  if (absl::StartsWith(symbol, "_dl_runtime_resolve") ||
      absl::StartsWith(symbol, "_dl_runtime_profile")) {
    return RefusalReason::kDynamicLoader;
  }
  if (absl::StartsWith(symbol, "_dl_tlsdesc_")) {
    return RefusalReason::kThreadLocalResolver;
  }
  if (absl::StartsWith(symbol, "__x86_indirect_thunk") ||
      absl::StartsWith(symbol, "__x86_return_thunk") ||
      absl::StartsWith(symbol, "__llvm_retpoline_") ||
      absl::StartsWith(symbol, "__x86.get_pc_thunk")) {
    return RefusalReason::kBranchThunk;
  }
  return absl::nullopt;
}

}  // namespace

absl::string_view ReasonName(RefusalReason reason) {
  return kTexts[static_cast<size_t>(reason)].name;
}

absl::string_view ReasonSentence(RefusalReason reason) {
  return kTexts[static_cast<size_t>(reason)].sentence;
}

absl::optional<RefusalReason> RefusedByName(const symbols::Function& function) {
  switch (function.kind) {
    case symbols::Kind::kFunction:
      break;
    case symbols::Kind::kIfunc:
      return RefusalReason::kIfuncResolver;
    case symbols::Kind::kColdFragment:
      return RefusalReason::kColdFragment;
    case symbols::Kind::kCompilerGlue:
      return RefusalReason::kCompilerGlue;
    case symbols::Kind::kProgramEntry:
      return RefusalReason::kProgramEntry;
    case symbols::Kind::kUnwinder:
    case symbols::Kind::kUnwinderLookup:
      return RefusalReason::kUnwinder;
  }
  if (auto reason = ReasonOfSymbol(function.symbol)) return reason;
  for (const std::string& alias : function.aliases) {
    if (auto reason = ReasonOfSymbol(alias)) return reason;
  }
  return absl::nullopt;
}

absl::optional<RefusalReason> RefusedByModule(const symbols::Module& module) {
  if (module.is_dynamic_loader) return RefusalReason::kDynamicLoader;
  if (module.has_go_runtime) return RefusalReason::kGoRuntime;
  if (module.unwinder_is_hidden) return RefusalReason::kHiddenUnwinder;
  for (const symbols::Function& function : module.functions) {
    if (absl::StartsWith(function.symbol, "Builtins_")) return RefusalReason::kStackWalkingRuntime;
    if (function.symbol == "runtime.morestack") return RefusalReason::kGoRuntime;
  }
  return absl::nullopt;
}

}  // namespace flightrec::patch
