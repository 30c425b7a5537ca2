#include "services/tracer/patch/relocate.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"

namespace flightrec::patch {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint64_t kBias = 0x10000000;
constexpr uint64_t kAddress = 0x1000;                // in the module
constexpr uint64_t kDestination = kBias + 0x101000;  // 1 MiB behind the function

Site SiteOf(const Bytes& displaced, uint32_t padding = 0) {
  Site site;
  site.entry = kAddress;
  site.address = kAddress;
  site.length = static_cast<uint32_t>(displaced.size());
  site.code_length = site.length - padding;
  site.displaced = displaced;
  return site;
}

// Hex of the relocated code, or the status.
std::string Relocated(const Site& site, uint64_t destination = kDestination) {
  const auto moved = RelocatePrologue(site, kBias, destination);
  if (!moved.ok()) return moved.status().ToString();
  std::string hex;
  for (const uint8_t byte : moved->code) {
    absl::StrAppendFormat(&hex, "%s%02x", hex.empty() ? "" : " ", byte);
  }
  return hex;
}

// Distances: the copy lies 0x100000 behind the original.

TEST(Relocate, plain_instructions__then_copied_with_a_jump_back) {
  // push rbp; mov rbp,rsp; xor eax,eax | jmp 0x1006
  EXPECT_EQ(Relocated(SiteOf({0x55, 0x48, 0x89, 0xe5, 0x31, 0xc0})),
            "55 48 89 e5 31 c0 e9 fb ff ef ff");
}

TEST(Relocate, rip_relative_operand__then_distance_is_fixed) {
  // lea rax,[rip+0x2000] | jmp
  EXPECT_EQ(Relocated(SiteOf({0x48, 0x8d, 0x05, 0x00, 0x20, 0x00, 0x00})),
            "48 8d 05 00 20 f0 ff e9 fb ff ef ff");
}

TEST(Relocate, rip_relative_operand_before_an_immediate__then_distance_is_fixed) {
  // cmp dword [rip+0x10],7 | jmp
  EXPECT_EQ(Relocated(SiteOf({0x83, 0x3d, 0x10, 0x00, 0x00, 0x00, 0x07})),
            "83 3d 10 00 f0 ff 07 e9 fb ff ef ff");
}

TEST(Relocate, short_conditional_jump__then_near) {
  // test edi,edi; je +0x10; nop | target 0x1014, jmp 0x1005
  EXPECT_EQ(Relocated(SiteOf({0x85, 0xff, 0x74, 0x10, 0x90})),
            "85 ff 0f 84 0c 00 f0 ff 90 e9 f7 ff ef ff");
}

TEST(Relocate, near_conditional_jump__then_distance_is_fixed) {
  // jne +0x100
  EXPECT_EQ(Relocated(SiteOf({0x0f, 0x85, 0x00, 0x01, 0x00, 0x00})),
            "0f 85 00 01 f0 ff e9 fb ff ef ff");
}

TEST(Relocate, counted_jump__then_goes_over_a_near_jump) {
  // jrcxz +0x10; xor eax,eax; nop
  EXPECT_EQ(Relocated(SiteOf({0xe3, 0x10, 0x31, 0xc0, 0x90})),
            "e3 02 eb 05 e9 09 00 f0 ff 31 c0 90 e9 f4 ff ef ff");
}

TEST(Relocate, jump__then_near_and_no_jump_back) {
  EXPECT_EQ(Relocated(SiteOf({0xeb, 0x10, 0x90, 0x90, 0x90}, 3)), "e9 0d 00 f0 ff");
  EXPECT_EQ(Relocated(SiteOf({0xe9, 0x00, 0x01, 0x00, 0x00})), "e9 00 01 f0 ff");
}

TEST(Relocate, indirect_jump__then_distance_is_fixed) {
  // jmp [rip+0x20]
  EXPECT_EQ(Relocated(SiteOf({0xff, 0x25, 0x20, 0x00, 0x00, 0x00})), "ff 25 20 00 f0 ff");
}

TEST(Relocate, call__then_pushes_the_original_return_address) {
  // push rax; call +0x100 | push [rip+5]; jmp 0x1106; .quad 0x10001006
  EXPECT_EQ(Relocated(SiteOf({0x50, 0xe8, 0x00, 0x01, 0x00, 0x00})),
            "50 ff 35 05 00 00 00 e9 fa 00 f0 ff 06 10 00 10 00 00 00 00");
}

TEST(Relocate, call_in_high_memory__then_all_of_the_address_is_pushed) {
  const Site site = SiteOf({0xe8, 0x00, 0x01, 0x00, 0x00});
  const auto moved = RelocatePrologue(site, 0x7ffff0000000, 0x7ffff0100000);
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(Bytes(moved->code.end() - 8, moved->code.end()),
            (Bytes{0x05, 0x10, 0x00, 0xf0, 0xff, 0x7f, 0x00, 0x00}));
}

TEST(Relocate, indirect_call__then_push_and_jump_with_the_same_operand) {
  // call [rip+0x20] | push [rip+6]; jmp [rip+...]; .quad 0x10001006
  EXPECT_EQ(Relocated(SiteOf({0xff, 0x15, 0x20, 0x00, 0x00, 0x00})),
            "ff 35 06 00 00 00 ff 25 1a 00 f0 ff 06 10 00 10 00 00 00 00");
  // sub rsp,8; call r8
  EXPECT_EQ(Relocated(SiteOf({0x48, 0x83, 0xec, 0x08, 0x41, 0xff, 0xd0})),
            "48 83 ec 08 ff 35 03 00 00 00 41 ff e0 07 10 00 10 00 00 00 00");
}

TEST(Relocate, call__then_says_where_the_stack_is_the_callees) {
  const auto moved =
      RelocatePrologue(SiteOf({0x50, 0xe8, 0x00, 0x01, 0x00, 0x00}), kBias, kDestination);
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->called, 7u);
  EXPECT_FALSE(moved->jump_back.has_value());
}

TEST(Relocate, plain_instructions__then_says_where_the_jump_back_is) {
  const auto moved = RelocatePrologue(SiteOf({0x85, 0xff, 0x74, 0x10, 0x90}), kBias, kDestination);
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(moved->called, 0u);
  ASSERT_TRUE(moved->jump_back.has_value());
  EXPECT_EQ(moved->jump_back->original, 5u);
  EXPECT_EQ(moved->jump_back->relocated, 9u);
}

TEST(Relocate, return_with_padding__then_padding_is_left_out) {
  EXPECT_EQ(Relocated(SiteOf({0x31, 0xc0, 0xc3, 0x90, 0x90}, 2)), "31 c0 c3");
}

TEST(Relocate, far_destination__then_jump_back_is_absolute) {
  EXPECT_EQ(Relocated(SiteOf({0x55, 0x48, 0x89, 0xe5, 0x90}), 0x700000000000),
            "55 48 89 e5 90 ff 25 00 00 00 00 05 10 00 10 00 00 00 00");
}

TEST(Relocate, operand_out_of_reach__then_out_of_range) {
  const Site site = SiteOf({0x48, 0x8d, 0x05, 0x00, 0x20, 0x00, 0x00});
  EXPECT_EQ(RelocatePrologue(site, kBias, 0x700000000000).status().code(),
            absl::StatusCode::kOutOfRange);
}

TEST(Relocate, landmarks__then_one_per_instruction) {
  const auto moved = RelocatePrologue(SiteOf({0x85, 0xff, 0x74, 0x10, 0x90}), kBias, kDestination);
  ASSERT_TRUE(moved.ok()) << moved.status();
  ASSERT_EQ(moved->landmarks.size(), 3u);
  EXPECT_EQ(moved->landmarks[1].original, 2u);
  EXPECT_EQ(moved->landmarks[1].relocated, 2u);
  EXPECT_EQ(moved->landmarks[2].original, 4u);
  EXPECT_EQ(moved->landmarks[2].relocated, 8u);
}

TEST(Relocate, site_made_up__then_invalid_argument) {
  EXPECT_EQ(
      RelocatePrologue(SiteOf({0x06, 0x06, 0x06, 0x06, 0x06}), kBias, kDestination).status().code(),
      absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(RelocatePrologue(Site{}, kBias, kDestination).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(EncodeJump, both_directions__then_distance_from_its_end) {
  const auto forward = EncodeJump(0x1000, 0x1105);
  ASSERT_TRUE(forward.ok());
  EXPECT_EQ(*forward, (std::array<uint8_t, 5>{0xe9, 0x00, 0x01, 0x00, 0x00}));
  const auto backward = EncodeJump(0x1000, 0x1000);
  ASSERT_TRUE(backward.ok());
  EXPECT_EQ(*backward, (std::array<uint8_t, 5>{0xe9, 0xfb, 0xff, 0xff, 0xff}));
}

TEST(EncodeJump, beyond_2_gib__then_out_of_range) {
  EXPECT_TRUE(EncodeJump(0, 0x80000004).ok());
  EXPECT_EQ(EncodeJump(0, 0x80000005).status().code(), absl::StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace flightrec::patch
