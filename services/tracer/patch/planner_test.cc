#include "services/tracer/patch/planner.h"

#include <cstring>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/tracer/patch/refusal.h"
#include "services/tracer/patch/site.h"
#include "services/tracer/patch/test_module.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::patch {
namespace {

using Bytes = std::vector<uint8_t>;

// push rbp; mov rbp,rsp; xor eax,eax; pop rbp; ret
const Bytes kPlain = {0x55, 0x48, 0x89, 0xe5, 0x31, 0xc0, 0x5d, 0xc3};

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes Int32(int64_t value) {
  const auto narrow = static_cast<int32_t>(value);
  Bytes bytes(4);
  std::memcpy(bytes.data(), &narrow, 4);
  return bytes;
}

// "5/6" for a site with 5 code and 6 displaced bytes, else the reason.
std::string Outcome(const std::variant<Site, Refusal>& planned) {
  if (const auto* site = std::get_if<Site>(&planned)) {
    return absl::StrCat(site->code_length, "/", site->length);
  }
  return std::string(ReasonName(std::get<Refusal>(planned).reason));
}

std::string PlanOne(const Bytes& code) {
  TestModule test;
  const uint32_t function = test.Add("function", code);
  return Outcome(Planner(test.module).PlanSite(function));
}

TEST(Planner, plain_prologue__then_whole_instructions_are_displaced) {
  TestModule test;
  const uint32_t function = test.Add("function", kPlain);
  const auto planned = Planner(test.module).PlanSite(function);
  ASSERT_TRUE(std::holds_alternative<Site>(planned)) << Outcome(planned);
  const Site& site = std::get<Site>(planned);
  EXPECT_EQ(site.entry, TestModule::kCode);
  EXPECT_EQ(site.address, TestModule::kCode);
  EXPECT_EQ(site.length, 6u);
  EXPECT_EQ(site.displaced, Bytes(kPlain.begin(), kPlain.begin() + 6));
}

TEST(Planner, endbr64__then_stays_in_front_of_the_patch) {
  TestModule test;
  const uint32_t function = test.Add("function", Bytes{0xf3, 0x0f, 0x1e, 0xfa} + kPlain);
  const auto planned = Planner(test.module).PlanSite(function);
  ASSERT_TRUE(std::holds_alternative<Site>(planned)) << Outcome(planned);
  EXPECT_EQ(std::get<Site>(planned).address, TestModule::kCode + 4);
}

TEST(Planner, sled__then_nop_is_displaced) {
  EXPECT_EQ(PlanOne(Bytes{0x0f, 0x1f, 0x44, 0x00, 0x00} + kPlain), "5/5");
  EXPECT_EQ(PlanOne(Bytes{0x90, 0x90, 0x90, 0x90, 0x90} + kPlain), "5/5");
}

TEST(Planner, short_function_with_padding__then_padding_is_displaced) {
  EXPECT_EQ(PlanOne({0xc3}), "1/5");              // ret
  EXPECT_EQ(PlanOne({0x31, 0xc0, 0xc3}), "3/5");  // xor eax,eax; ret
  EXPECT_EQ(PlanOne({0xff, 0xe0}), "2/5");        // jmp rax
  EXPECT_EQ(PlanOne({0x0f, 0x0b}), "2/5");        // ud2
}

TEST(Planner, short_function_before_another__then_too_short) {
  TestModule test;
  const uint32_t function = test.Add("function", {0x31, 0xc0, 0xc3});
  test.AddAdjacent("next", kPlain);
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(function)), "TOO_SHORT");
}

TEST(Planner, next_function_starts_in_padding__then_too_short) {
  TestModule test;
  const uint32_t function = test.Add("function", {0x31, 0xc0, 0xc3});
  test.AddAdjacent("next", Bytes{0x90, 0x90} + kPlain);  // a nop is its first instruction
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(function)), "TOO_SHORT");
}

TEST(Planner, code_behind_early_return__then_too_short) {
  EXPECT_EQ(PlanOne(Bytes{0x31, 0xc0, 0xc3} + kPlain), "TOO_SHORT");
}

TEST(Planner, function_without_end__then_too_short) { EXPECT_EQ(PlanOne({0x55}), "TOO_SHORT"); }

TEST(Planner, invalid_bytes__then_undecodable) {
  EXPECT_EQ(PlanOne({0x55, 0x06, 0x06, 0x06, 0x06, 0xc3}), "UNDECODABLE");
}

TEST(Planner, branch_back_into_the_patch__then_refused_with_its_address) {
  TestModule test;
  // push rbp; L: mov rbp,rsp; xor eax,eax; jne L; ret
  const uint32_t function =
      test.Add("function", {0x55, 0x48, 0x89, 0xe5, 0x31, 0xc0, 0x75, 0xf9, 0xc3});
  const auto planned = Planner(test.module).PlanSite(function);
  ASSERT_EQ(Outcome(planned), "JUMP_INTO_PROLOGUE");
  EXPECT_EQ(std::get<Refusal>(planned).detail, "branch at 0x1006 to 0x1001");
}

TEST(Planner, branch_from_another_function__then_refused) {
  TestModule test;
  const uint32_t function = test.Add("function", kPlain);
  test.Add("function.cold", {0xe9, 0xdc, 0xff, 0xff, 0xff});  // jmp 0x1001
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(function)), "JUMP_INTO_PROLOGUE");
}

TEST(Planner, branch_behind_the_patch__then_allowed) {
  // push rbp; mov rbp,rsp; nop; L: xor eax,eax; jne L; ret
  EXPECT_EQ(PlanOne({0x55, 0x48, 0x89, 0xe5, 0x90, 0x31, 0xc0, 0x75, 0xfc, 0xc3}), "5/5");
}

TEST(Planner, loop_over_the_whole_body__then_refused) {
  // L: mov rax,[rdi]; mov rdi,rax; test rax,rax; jne L; ret
  EXPECT_EQ(PlanOne({0x48, 0x8b, 0x07, 0x48, 0x89, 0xc7, 0x48, 0x85, 0xc0, 0x75, 0xf5, 0xc3}),
            "LOOPS_TO_ENTRY");
}

TEST(Planner, recursive_call__then_allowed) {
  // push rbp; mov rbp,rsp; nop; call itself; pop rbp; ret
  EXPECT_EQ(PlanOne({0x55, 0x48, 0x89, 0xe5, 0x90, 0xe8, 0xf6, 0xff, 0xff, 0xff, 0x5d, 0xc3}),
            "5/5");
}

TEST(Planner, call_that_returns_behind_the_patch__then_displaced_and_ends) {
  EXPECT_EQ(PlanOne({0xe8, 0, 0, 0, 0, 0xc3}), "5/5");
  EXPECT_EQ(PlanOne({0x50, 0xe8, 0, 0, 0, 0, 0x58, 0xc3}), "6/6");
}

TEST(Planner, call_that_returns_into_the_patch__then_refused) {
  EXPECT_EQ(PlanOne({0x50, 0xff, 0xd0, 0x58, 0x31, 0xc0, 0xc3}), "CALL_RETURNS_INTO_PATCH");
}

TEST(Planner, call_through_the_moved_stack__then_unrelocatable) {
  // call [rsp+0x10]; nop; ret
  EXPECT_EQ(PlanOne({0xff, 0x94, 0x24, 0x10, 0, 0, 0, 0x90, 0xc3}), "UNRELOCATABLE");
}

TEST(Planner, transaction_begin__then_unrelocatable) {
  EXPECT_EQ(PlanOne({0xc7, 0xf8, 0, 0, 0, 0, 0xc3}), "UNRELOCATABLE");
}

TEST(Planner, rbx_used_before_it_is_saved__then_refused) {
  EXPECT_EQ(PlanOne(kPlain + Bytes{0x48, 0x89, 0xd8}), "USES_RBX");  // mov rax,rbx
  EXPECT_EQ(PlanOne(kPlain + Bytes{0x0f, 0xa2}), "USES_RBX");        // cpuid
  EXPECT_EQ(PlanOne(kPlain + Bytes{0x88, 0xf8}), "USES_RBX");        // mov al,bh
}

TEST(Planner, rbx_saved_first__then_allowed) {
  EXPECT_EQ(PlanOne(Bytes{0x53} + kPlain + Bytes{0x48, 0x89, 0xd8}), "5/5");
  // mov [rsp-8],rbx
  EXPECT_EQ(PlanOne(Bytes{0x48, 0x89, 0x5c, 0x24, 0xf8} + kPlain + Bytes{0x0f, 0xa2}), "5/5");
}

TEST(Planner, relative_jump_table_into_the_patch__then_refused) {
  TestModule test;
  // push rbp; mov rbp,rsp; xor eax,eax; lea rdx,[rip+table]
  const uint32_t function = test.Add(
      "function", Bytes{0x55, 0x48, 0x89, 0xe5, 0x31, 0xc0, 0x48, 0x8d, 0x15} +
                      Int32(TestModule::kTables - (TestModule::kCode + 13)) + Bytes{0x5d, 0xc3});
  const int64_t entry = TestModule::kCode - TestModule::kTables;
  auto& table = test.module.segments[1].bytes;
  table = Int32(entry + 13) + Int32(entry + 14);
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(function)), "6/6");
  table = Int32(entry + 13) + Int32(entry + 4);
  const auto planned = Planner(test.module).PlanSite(function);
  ASSERT_EQ(Outcome(planned), "JUMP_INTO_PROLOGUE");
  EXPECT_EQ(std::get<Refusal>(planned).detail, "jump table entry at 0x8004 to 0x1004");
}

TEST(Planner, absolute_jump_table_into_the_patch__then_refused) {
  TestModule test;
  const uint32_t function = test.Add("function", kPlain);
  test.module.is_pie = false;
  test.module.segments[1].bytes = Int32(TestModule::kCode + 4) + Int32(0);
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(function)), "JUMP_INTO_PROLOGUE");
}

TEST(Planner, relocated_label_in_the_patch__then_refused) {
  TestModule test;
  const uint32_t function = test.Add("function", kPlain);
  test.module.code_pointers = {TestModule::kCode + 1};
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(function)), "JUMP_INTO_PROLOGUE");
}

TEST(Planner, unwind_information_with_a_frame__then_not_an_entry) {
  TestModule test;
  const uint32_t function = test.Add("function", kPlain);
  test.module.code_ranges = {{TestModule::kCode, 8, /*starts_at_call=*/false}};
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(function)), "NOT_A_FUNCTION_ENTRY");
}

TEST(Planner, function_inside_another_one__then_not_an_entry) {
  TestModule test;
  test.Add("outer", kPlain + kPlain);
  symbols::Function inner = test.module.functions[0];
  inner.offset += 8;
  inner.size = 8;
  test.module.functions.push_back(inner);
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(1)), "NOT_A_FUNCTION_ENTRY");
}

TEST(Planner, reserved_name__then_refused_unless_allowed) {
  TestModule test;
  const uint32_t function = test.Add("_Unwind_Find_FDE", kPlain);
  test.module.is_dynamic_loader = true;
  const Planner planner(test.module);
  EXPECT_EQ(Outcome(planner.PlanSite(function)), "DYNAMIC_LOADER");
  EXPECT_EQ(Outcome(planner.PlanSite(function, NamePolicy::kAllow)), "6/6");
}

TEST(Planner, runtime_that_reads_or_moves_stacks__then_its_whole_module_is_refused) {
  for (const auto& [symbol, reason] : {std::pair("Builtins_CallFunction", "STACK_WALKING_RUNTIME"),
                                       std::pair("runtime.morestack", "GO_RUNTIME")}) {
    TestModule test;
    const uint32_t function = test.Add("ordinary", kPlain);
    test.Add(symbol, kPlain);
    EXPECT_EQ(Outcome(Planner(test.module).PlanSite(function)), reason);
  }
}

TEST(Planner, nameless_function_with_a_system_call__then_refused) {
  TestModule test;
  const uint32_t function = test.Add("", kPlain + Bytes{0x0f, 0x05, 0xc3});
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(function)), "SAVES_CONTEXT");
}

TEST(Planner, nameless_function_after_a_conditional_jump__then_cold_fragment) {
  TestModule test;
  const Bytes jump = {0x55, 0x48, 0x89, 0xe5, 0x90, 0x0f, 0x84, 0x15, 0, 0, 0, 0x5d, 0xc3};
  test.Add("function", jump);  // je 0x1020
  const uint32_t fragment = test.Add("", kPlain);
  const uint32_t tail_call = test.Add("named", kPlain);
  test.AddAdjacent("jumps", {0x74, 0xf6, 0xc3});  // je 0x1040
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(fragment)), "COLD_FRAGMENT");
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(tail_call)), "6/6");
}

TEST(Planner, function_outside_the_code__then_not_in_code) {
  TestModule test;
  test.Add("function", kPlain);
  test.module.functions[0].offset = TestModule::kTables;
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(0)), "NOT_IN_CODE");
  EXPECT_EQ(Outcome(Planner(test.module).PlanSite(7)), "NOT_IN_CODE");
}

TEST(Planner, several_functions__then_sites_and_refusals_in_order) {
  TestModule test;
  const uint32_t first = test.Add("first", kPlain);
  const uint32_t second = test.Add("vfork", kPlain);
  const uint32_t third = test.Add("third", kPlain);
  const PlanResult plan = Planner(test.module).Plan({third, second, first, first});
  ASSERT_EQ(plan.sites.size(), 2u);
  EXPECT_EQ(plan.sites[0].function, first);
  EXPECT_EQ(plan.sites[1].function, third);
  ASSERT_EQ(plan.refusals.size(), 1u);
  EXPECT_EQ(plan.refusals[0].function, second);
}

}  // namespace
}  // namespace flightrec::patch
