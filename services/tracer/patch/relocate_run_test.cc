// Runs relocated prologues: hand-written functions of this program are entered
// through a copy of their first instructions.

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "services/tracer/patch/planner.h"
#include "services/tracer/patch/refusal.h"
#include "services/tracer/patch/relocate.h"
#include "services/tracer/patch/site.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/symbols/module_reader.h"

// Each takes x in rdi, or two arguments in rdi and rsi.
#define FUNCTION(name, body)                                                                 \
  asm(".pushsection .text\n.balign 16\n.globl " #name "\n.type " #name ", @function\n" #name \
      ":\n" body "\n.size " #name ", . - " #name "\n.balign 16\n.popsection\n");             \
  extern "C" int64_t name(int64_t x, int64_t y)

asm(".pushsection .rodata\n.balign 8\nrelocate_run_constant: .quad 40\n"
    ".pushsection .data.rel.local,\"aw\"\n.balign 8\nrelocate_run_pointer: "
    ".quad relocate_run_return_address\n.popsection\n.popsection\n");

FUNCTION(relocate_run_return_address, "mov (%rsp), %rax\nret");
FUNCTION(relocate_run_load, "mov relocate_run_constant(%rip), %rax\nadd %rdi, %rax\nret");
FUNCTION(relocate_run_compare,
         "cmpl $40, relocate_run_constant(%rip)\nsete %al\nmovzx %al, %eax\nret");
FUNCTION(relocate_run_branch, "test %edi, %edi\nje 1f\nmov $1, %eax\nret\n1: mov $2, %eax\nret");
FUNCTION(relocate_run_counted, "mov %rdi, %rcx\njrcxz 1f\nmov $1, %eax\nret\n1: mov $2, %eax\nret");
FUNCTION(relocate_run_jump, "jmp 1f\n.balign 8\n1: lea 3(%rdi), %rax\nret");
FUNCTION(relocate_run_short, "mov %edi, %eax\nret");
FUNCTION(relocate_run_call, "push %rcx\ncall relocate_run_return_address\npop %rcx\nret");
FUNCTION(relocate_run_call_memory, "call *relocate_run_pointer(%rip)\nnop\nret");
FUNCTION(relocate_run_call_register, "sub $8, %rsp\ncall *%rdi\nadd $8, %rsp\nret");
FUNCTION(relocate_run_carry, "stc\ncall 1f\nret\nnop\nnop\n1: setc %al\nmovzx %al, %eax\nret");

namespace flightrec::patch {
namespace {

using Entry = int64_t(int64_t, int64_t);

uint64_t AddressOf(Entry* function) { return reinterpret_cast<uint64_t>(function); }

// One page near this program's code, so that distances fit in 32 bits.
class RelocateRun : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<symbols::Module> module = symbols::ReadModule("/proc/self/exe");
    ASSERT_TRUE(module.ok()) << module.status();
    module_ = *std::move(module);
    uint64_t near = AddressOf(&relocate_run_load) & ~0xfffffull;
    void* page = MAP_FAILED;
    for (int i = 0; i < 1000 && page == MAP_FAILED; ++i) {
      near -= 1 << 20;
      page = mmap(reinterpret_cast<void*>(near), 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    }
    ASSERT_NE(page, MAP_FAILED);
    page_ = static_cast<uint8_t*>(page);
  }

  void TearDown() override { munmap(page_, 4096); }

  // The entry of the copy; nullptr after a test failure.
  Entry* Moved(const std::string& symbol, Entry* original) {
    for (uint32_t i = 0; i < module_.functions.size(); ++i) {
      if (module_.functions[i].symbol != symbol) continue;
      bias_ = AddressOf(original) - module_.functions[i].offset;
      const auto planned = Planner(module_).PlanSite(i);
      if (const auto* refusal = std::get_if<Refusal>(&planned)) {
        ADD_FAILURE() << ReasonName(refusal->reason) << " " << refusal->detail;
        return nullptr;
      }
      const auto moved =
          RelocatePrologue(std::get<Site>(planned), bias_, reinterpret_cast<uint64_t>(page_));
      EXPECT_TRUE(moved.ok()) << moved.status();
      std::memcpy(page_, moved->code.data(), moved->code.size());
      return reinterpret_cast<Entry*>(page_);
    }
    ADD_FAILURE() << symbol << " is not in the program";
    return nullptr;
  }

  symbols::Module module_;
  uint64_t bias_ = 0;
  uint8_t* page_ = nullptr;
};

#define MOVED(name)                         \
  Entry* const moved = Moved(#name, &name); \
  ASSERT_NE(moved, nullptr)

TEST_F(RelocateRun, rip_relative_operand__then_reads_the_original_data) {
  MOVED(relocate_run_load);
  EXPECT_EQ(moved(2, 0), 42);
}

TEST_F(RelocateRun, rip_relative_operand_with_immediate__then_compares) {
  MOVED(relocate_run_compare);
  EXPECT_EQ(moved(0, 0), 1);
}

TEST_F(RelocateRun, conditional_jump__then_both_ways) {
  MOVED(relocate_run_branch);
  EXPECT_EQ(moved(1, 0), 1);
  EXPECT_EQ(moved(0, 0), 2);
}

TEST_F(RelocateRun, counted_jump__then_both_ways) {
  MOVED(relocate_run_counted);
  EXPECT_EQ(moved(1, 0), 1);
  EXPECT_EQ(moved(0, 0), 2);
}

TEST_F(RelocateRun, jump__then_arrives) {
  MOVED(relocate_run_jump);
  EXPECT_EQ(moved(4, 0), 7);
}

TEST_F(RelocateRun, whole_function__then_returns) {
  MOVED(relocate_run_short);
  EXPECT_EQ(moved(9, 0), 9);
}

TEST_F(RelocateRun, call__then_callee_sees_the_original_return_address) {
  MOVED(relocate_run_call);
  EXPECT_EQ(static_cast<uint64_t>(moved(0, 0)), AddressOf(&relocate_run_call) + 6);
}

TEST_F(RelocateRun, call_through_memory__then_callee_sees_the_original_return_address) {
  MOVED(relocate_run_call_memory);
  EXPECT_EQ(static_cast<uint64_t>(moved(0, 0)), AddressOf(&relocate_run_call_memory) + 6);
}

TEST_F(RelocateRun, call_through_register__then_callee_sees_the_original_return_address) {
  MOVED(relocate_run_call_register);
  const auto callee = static_cast<int64_t>(AddressOf(&relocate_run_return_address));
  EXPECT_EQ(static_cast<uint64_t>(moved(callee, 0)), AddressOf(&relocate_run_call_register) + 6);
}

TEST_F(RelocateRun, call__then_flags_reach_the_callee) {
  MOVED(relocate_run_carry);
  EXPECT_EQ(moved(0, 0), 1);
}

}  // namespace
}  // namespace flightrec::patch
