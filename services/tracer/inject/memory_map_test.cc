#include "services/tracer/inject/memory_map.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/status/status.h"

namespace flightrec::inject {
namespace {

constexpr uint64_t kTwoGiB = uint64_t{1} << 31;

constexpr char kPie[] =
    "555555554000-555555556000 r--p 00000000 08:01 12 /bin/a program\n"
    "555555556000-555555558000 r-xp 00002000 08:01 12 /bin/a program\n"
    "555555560000-555555581000 rw-p 00000000 00:00 0                 [heap]\n"
    "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";

TEST(MemoryMap, lines__then_parsed) {
  const auto map = MemoryMap::Parse(kPie);
  ASSERT_TRUE(map.ok()) << map.status();
  ASSERT_EQ(map->mappings().size(), 4u);
  EXPECT_EQ(map->mappings()[1].low, 0x555555556000u);
  EXPECT_EQ(map->mappings()[1].high, 0x555555558000u);
  EXPECT_EQ(map->mappings()[1].file_offset, 0x2000u);
  EXPECT_TRUE(map->mappings()[1].executable);
  EXPECT_FALSE(map->mappings()[0].executable);
  EXPECT_EQ(map->mappings()[1].path, "/bin/a program");
  EXPECT_EQ(map->mappings()[2].path, "[heap]");
}

TEST(MemoryMap, not_a_map__then_invalid_argument) {
  for (const char* text : {"x", "1-2", "1-2 r 0 0 0", "z-2 r--p 0 0 0"}) {
    EXPECT_EQ(MemoryMap::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(MemoryMap, room_below__then_gap_right_below_the_module) {
  const auto map = MemoryMap::Parse(kPie);
  const auto gap = map->FindGapNear(0x555555554000, 0x555555558000, 10000);
  ASSERT_TRUE(gap.ok()) << gap.status();
  EXPECT_EQ(*gap, 0x555555554000u - 12288);
}

TEST(MemoryMap, gap_anywhere__then_the_highest_that_leaves_the_stack_room) {
  const auto map = MemoryMap::Parse(
      "400000-402000 r-xp 00000000 08:01 12 /bin/fixed\n"
      "7ffff7fc0000-7ffff7fff000 r-xp 00000000 08:01 12 /lib/ld.so\n"
      "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n"
      "7ffffffff000-800000000000 r-xp 00000000 00:00 0 [vdso]\n");
  EXPECT_EQ(map->FindGap(10000).value_or(0), 0x7ffff7fc0000u - 12288);
  const auto bare = MemoryMap::Parse(
      "400000-402000 r-xp 00000000 08:01 12 /bin/fixed\n"
      "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n");
  EXPECT_EQ(bare->FindGap(4096).value_or(0), 0x7ffffffde000u - (uint64_t{16} << 30) - 4096);
}

TEST(MemoryMap, static_program_with_its_vdso_near_the_stack__then_the_gap_below_the_vdso) {
  const auto map = MemoryMap::Parse(
      "400000-402000 r-xp 00000000 08:01 12 /bin/fixed\n"
      "7ffff7fbe000-7ffff7fc0000 r--p 00000000 00:00 0 [vvar]\n"
      "7ffff7fc0000-7ffff7fc2000 r-xp 00000000 00:00 0 [vdso]\n"
      "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n"
      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\n");
  EXPECT_EQ(map->FindGap(4096).value_or(0), 0x7ffff7fbe000u - 4096);
}

TEST(MemoryMap, no_room_below__then_gap_above_that_leaves_room_for_the_heap) {
  const auto map = MemoryMap::Parse(
      "400000-402000 r-xp 00000000 08:01 12 /bin/fixed\n"
      "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n");
  const auto gap = map->FindGapNear(0x400000, 0x402000, 8 << 20);
  ASSERT_TRUE(gap.ok()) << gap.status();
  EXPECT_EQ(*gap, 0x402000u + (1u << 30));
  EXPECT_LT(*gap + (8 << 20), 0x400000 + kTwoGiB);
}

TEST(MemoryMap, everything_taken__then_failed_precondition) {
  const auto map = MemoryMap::Parse(
      "10000-100000000 rw-p 00000000 00:00 0 \n"
      "100000000-100002000 r-xp 00000000 08:01 12 /bin/a\n"
      "100002000-200000000 rw-p 00000000 00:00 0 \n");
  EXPECT_EQ(map->FindGapNear(0x100000000, 0x100002000, 4096).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(MemoryMap, this_process__then_has_a_stack) {
  const auto map = MemoryMap::Read(getpid());
  ASSERT_TRUE(map.ok()) << map.status();
  bool stack = false;
  for (const Mapping& mapping : map->mappings()) {
    stack = stack || mapping.path == "[stack]";
  }
  EXPECT_TRUE(stack);
}

}  // namespace
}  // namespace flightrec::inject
