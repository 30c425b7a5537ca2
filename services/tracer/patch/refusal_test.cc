#include "services/tracer/patch/refusal.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::patch {
namespace {

absl::optional<RefusalReason> ReasonOf(const std::string& symbol) {
  symbols::Function function;
  function.symbol = symbol;
  return RefusedByName(function);
}

TEST(Refusal, every_reason__then_has_its_own_name_and_a_sentence) {
  std::set<std::string> names;
  for (int i = 0; i < kRefusalReasonCount; ++i) {
    const auto reason = static_cast<RefusalReason>(i);
    names.insert(std::string(ReasonName(reason)));
    EXPECT_EQ(ReasonSentence(reason).back(), '.');
  }
  EXPECT_EQ(names.size(), static_cast<size_t>(kRefusalReasonCount));
  EXPECT_EQ(names.count("UNKNOWN"), 0u);
}

// The table of services/tracer/README.md; what depends on the code is in planner_test.cc.
TEST(Refusal, reserved_names__then_refused_with_their_reason) {
  const std::vector<std::pair<RefusalReason, std::vector<std::string>>> table = {
      {RefusalReason::kSavesContext,
       {"setjmp", "_setjmp", "sigsetjmp", "__sigsetjmp", "longjmp", "_longjmp", "__longjmp_chk",
        "siglongjmp", "getcontext", "makecontext", "setcontext", "swapcontext"}},
      {RefusalReason::kReturnsTwice, {"vfork", "__vfork", "clone", "__clone", "clone3"}},
      {RefusalReason::kUnwinder,
       {"_Unwind_RaiseException", "_Unwind_Resume", "_Unwind_Resume_or_Rethrow",
        "_Unwind_ForcedUnwind", "_Unwind_Backtrace", "_Unwind_Find_FDE", "uw_init_context_1",
        "_dl_find_object"}},
      {RefusalReason::kReadsCaller,
       {"dlopen", "dlmopen", "dlsym", "dlvsym", "dlclose", "mcount", "_mcount", "__fentry__"}},
      {RefusalReason::kSignalReturn, {"__restore_rt"}},
      {RefusalReason::kThreadLocalResolver,
       {"__tls_get_addr", "_dl_tlsdesc_dynamic_xsavec", "__tlsdesc_static"}},
      {RefusalReason::kCancellationPoint, {"__syscall_cp_asm", "__syscall_cancel_arch"}},
      {RefusalReason::kDynamicLoader,
       {"_dl_runtime_resolve_xsavec", "_dl_runtime_profile_avx", "_dl_debug_state"}},
      {RefusalReason::kProgramEntry, {"_start", "_start_c", "__libc_start_main"}},
      {RefusalReason::kBranchThunk, {"__x86_indirect_thunk_rax", "__llvm_retpoline_r11"}},
  };
  for (const auto& [reason, symbols] : table) {
    for (const std::string& symbol : symbols) EXPECT_EQ(ReasonOf(symbol), reason) << symbol;
  }
}

TEST(Refusal, ordinary_names__then_not_refused) {
  for (const char* name : {"main", "fork", "dladdr", "cloned", "setjmp_wrapper"}) {
    EXPECT_EQ(ReasonOf(name), absl::nullopt) << name;
  }
}

TEST(Refusal, reserved_alias__then_refused) {
  symbols::Function function;
  function.symbol = "harmless";
  function.aliases = {"_setjmp"};
  EXPECT_EQ(RefusedByName(function), RefusalReason::kSavesContext);
}

TEST(Refusal, kind__then_refused_whatever_the_name) {
  symbols::Function function;
  const std::vector<std::pair<symbols::Kind, RefusalReason>> table = {
      {symbols::Kind::kIfunc, RefusalReason::kIfuncResolver},
      {symbols::Kind::kColdFragment, RefusalReason::kColdFragment},
      {symbols::Kind::kCompilerGlue, RefusalReason::kCompilerGlue},
      {symbols::Kind::kProgramEntry, RefusalReason::kProgramEntry},
  };
  for (const auto& [kind, reason] : table) {
    function.kind = kind;
    EXPECT_EQ(RefusedByName(function), reason);
  }
}

}  // namespace
}  // namespace flightrec::patch
