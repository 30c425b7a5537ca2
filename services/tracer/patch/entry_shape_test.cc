// Sleds and other things that compilers put at the start of functions: where
// the planner places its patch because of them.

#include "services/tracer/patch/entry_shape.h"

#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/tracer/patch/planner.h"
#include "services/tracer/patch/relocate.h"
#include "services/tracer/patch/test_module.h"

namespace flightrec::patch {
namespace {

using Bytes = std::vector<uint8_t>;

const Bytes kEndbr64 = {0xf3, 0x0f, 0x1e, 0xfa};
const Bytes kLongNop = {0x0f, 0x1f, 0x44, 0x00, 0x08};
const Bytes kFiveNops = {0x90, 0x90, 0x90, 0x90, 0x90};
const Bytes kXrayEntry = {0xeb, 0x09, 0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x02, 0x00, 0x00};
const Bytes kXrayExit = {0xc3, 0x2e, 0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x02, 0x00, 0x00};
// call [rip+0x6ff8]: through TestModule::kTables from the first function.
const Bytes kCallThroughSlot = {0xff, 0x15, 0xfa, 0x6f, 0x00, 0x00};
// push rbp; mov rbp,rsp; xor eax,eax; pop rbp; ret
const Bytes kPlain = {0x55, 0x48, 0x89, 0xe5, 0x31, 0xc0, 0x5d, 0xc3};
const Bytes kReturnOne = {0x6a, 0x01, 0x58, 0xc3};  // push 1; pop rax; ret
// L: mov rdi,[rdi]; test rdi,rdi; jne L; ret
const Bytes kLoop = {0x48, 0x8b, 0x3f, 0x48, 0x85, 0xff, 0x75, 0xf8, 0xc3};

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// "sled 0+5", "inline 11+6" (bytes from the entry + length) or a reason.
std::string Outcome(const symbols::Module& module, uint32_t function) {
  const auto planned = Planner(module).PlanSite(function);
  if (const auto* site = std::get_if<Site>(&planned)) {
    return absl::StrCat(site->sled ? "sled " : "inline ", site->address - site->entry, "+",
                        site->length);
  }
  return std::string(ReasonName(std::get<Refusal>(planned).reason));
}

std::string PlanOne(const Bytes& code) {
  TestModule test;
  return Outcome(test.module, test.Add("function", code));
}

// With other code directly behind it.
std::string PlanCrowded(const Bytes& code) {
  TestModule test;
  const uint32_t function = test.Add("function", code);
  test.AddAdjacent("next", kPlain);
  return Outcome(test.module, function);
}

TEST(EntryShape, nops_behind_the_symbol__then_they_are_the_place) {
  EXPECT_EQ(PlanOne(kLongNop + kPlain), "sled 0+5");
  EXPECT_EQ(PlanOne(kFiveNops + kPlain), "sled 0+5");
  EXPECT_EQ(PlanOne(kEndbr64 + kFiveNops + kPlain), "sled 4+5");
  EXPECT_EQ(PlanOne(Bytes{0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0} + kPlain), "sled 0+9");
}

TEST(EntryShape, fewer_than_5_bytes_of_nops__then_instructions_are_moved) {
  EXPECT_EQ(PlanOne(Bytes{0x90, 0x90} + kPlain), "inline 0+6");
}

TEST(EntryShape, function_that_would_be_refused__then_its_sled_makes_it_hookable) {
  EXPECT_EQ(PlanCrowded(kReturnOne), "TOO_SHORT");
  EXPECT_EQ(PlanCrowded(kFiveNops + kReturnOne), "sled 0+5");
  EXPECT_EQ(PlanCrowded(kXrayEntry + kReturnOne), "sled 0+11");
  EXPECT_EQ(PlanOne(kLoop), "LOOPS_TO_ENTRY");
  EXPECT_EQ(PlanOne(kFiveNops + kLoop), "sled 0+5");
  EXPECT_EQ(PlanOne(kXrayEntry + kLoop), "sled 0+11");
}

TEST(EntryShape, xray_entry__then_the_place_is_behind_what_its_runtime_rewrites) {
  EXPECT_EQ(PlanOne(kXrayEntry + kPlain), "inline 11+6");
  EXPECT_EQ(PlanOne(kEndbr64 + kXrayEntry + kPlain), "inline 15+6");
}

TEST(EntryShape, xray_exit_within_the_5_bytes__then_the_entry_sled_is_the_place) {
  EXPECT_EQ(PlanOne(kXrayEntry + Bytes{0x8d, 0x47, 0x01} + kXrayExit), "sled 0+11");
  EXPECT_EQ(PlanOne(kXrayEntry + Bytes{0xb8, 7, 0, 0, 0} + kXrayExit), "inline 11+5");
  EXPECT_EQ(PlanOne(kXrayEntry + kXrayExit), "sled 0+11");
}

TEST(EntryShape, xray_tail_exit_within_the_5_bytes__then_the_entry_sled_is_the_place) {
  // The sled, then jmp.
  EXPECT_EQ(PlanOne(kXrayEntry + Bytes{0x31, 0xc0} + kXrayEntry + Bytes{0xe9, 0, 0, 0, 0}),
            "sled 0+11");
}

TEST(EntryShape, profiler_call__then_the_place_is_behind_it) {
  TestModule test;
  const uint32_t function = test.Add("function", kCallThroughSlot + kPlain);
  test.module.profiler_slots = {TestModule::kTables};
  EXPECT_EQ(Outcome(test.module, function), "inline 6+6");
  test.module.profiler_slots = {};
  EXPECT_EQ(Outcome(test.module, function), "inline 0+6");
}

TEST(EntryShape, profiler_call_of_a_static_program__then_the_place_is_behind_it) {
  TestModule test;
  // call, addr32 call: both to 0x1040.
  const uint32_t direct = test.Add("direct", Bytes{0xe8, 0x3b, 0, 0, 0} + kPlain);
  const uint32_t relaxed = test.Add("relaxed", Bytes{0x67, 0xe8, 0x1a, 0, 0, 0} + kPlain);
  test.Add("__fentry__", {0xc3});
  EXPECT_EQ(Outcome(test.module, direct), "inline 5+6");
  EXPECT_EQ(Outcome(test.module, relaxed), "inline 6+6");
}

TEST(EntryShape, profiler_call_through_the_plt__then_the_place_is_behind_it) {
  TestModule test;
  const uint32_t function = test.Add("function", Bytes{0xe8, 0x0b, 0, 0, 0} + kPlain);
  auto& code = test.module.segments[0].bytes;
  code.resize(16);
  // At +16: bnd jmp [rip+0x6fe9] = kTables
  const Bytes plt = {0xf2, 0xff, 0x25, 0xe9, 0x6f, 0, 0};
  code.insert(code.end(), plt.begin(), plt.end());
  test.module.profiler_slots = {TestModule::kTables};
  EXPECT_EQ(Outcome(test.module, function), "inline 5+6");
}

TEST(EntryShape, code_behind_profiler_call_cannot_be_moved__then_the_call_is) {
  TestModule test;
  const uint32_t function = test.Add("function", kCallThroughSlot + kReturnOne);
  test.AddAdjacent("next", kPlain);
  test.module.profiler_slots = {TestModule::kTables};
  EXPECT_EQ(Outcome(test.module, function), "inline 0+6");
}

TEST(EntryShape, sled__then_its_copy_is_one_jump_and_every_nop_has_a_landmark) {
  TestModule test;
  const uint32_t function = test.Add("function", kFiveNops + kPlain);
  const auto planned = Planner(test.module).PlanSite(function);
  ASSERT_TRUE(std::holds_alternative<Site>(planned));
  const auto moved = RelocatePrologue(std::get<Site>(planned), 0, 0x9000);
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->code, (Bytes{0xe9, 0x00, 0x80, 0xff, 0xff}));  // to 0x1005
  ASSERT_EQ(moved->landmarks.size(), 5u);
  EXPECT_EQ(moved->landmarks[3].original, 3u);
  EXPECT_EQ(moved->landmarks[3].relocated, 0u);
}

}  // namespace
}  // namespace flightrec::patch
