#include "services/tracer/patch/refusal.h"

#include <set>
#include <string>

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

TEST(Refusal, reserved_names__then_refused_with_their_reason) {
  EXPECT_EQ(ReasonOf("_setjmp"), RefusalReason::kSavesContext);
  EXPECT_EQ(ReasonOf("__sigsetjmp"), RefusalReason::kSavesContext);
  EXPECT_EQ(ReasonOf("swapcontext"), RefusalReason::kSavesContext);
  EXPECT_EQ(ReasonOf("vfork"), RefusalReason::kReturnsTwice);
  EXPECT_EQ(ReasonOf("clone3"), RefusalReason::kReturnsTwice);
  EXPECT_EQ(ReasonOf("_Unwind_RaiseException"), RefusalReason::kUnwinder);
  EXPECT_EQ(ReasonOf("_dl_find_object"), RefusalReason::kUnwinder);
  EXPECT_EQ(ReasonOf("dlsym"), RefusalReason::kReadsCaller);
  EXPECT_EQ(ReasonOf("__restore_rt"), RefusalReason::kSignalReturn);
  EXPECT_EQ(ReasonOf("__tls_get_addr"), RefusalReason::kThreadLocalResolver);
  EXPECT_EQ(ReasonOf("__libc_start_main"), RefusalReason::kProgramEntry);
  EXPECT_EQ(ReasonOf("__x86_indirect_thunk_rax"), RefusalReason::kBranchThunk);
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
  function.kind = symbols::Kind::kIfunc;
  EXPECT_EQ(RefusedByName(function), RefusalReason::kIfuncResolver);
  function.kind = symbols::Kind::kColdFragment;
  EXPECT_EQ(RefusedByName(function), RefusalReason::kColdFragment);
}

}  // namespace
}  // namespace flightrec::patch
