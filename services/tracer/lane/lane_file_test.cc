#include "services/tracer/lane/lane_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/tracer/lane/layout.h"

namespace flightrec::lane {
namespace {

constexpr LaneLimits kSmall = {2, 4096, 128};
constexpr uint32_t kFunctions = 10;

class LaneFileTest : public testing::Test {
 protected:
  ~LaneFileTest() override { unlink(path_.c_str()); }

  absl::StatusOr<std::unique_ptr<LaneFile>> Create(const LaneLimits& limits) {
    return LaneFile::Create(path_, limits, kFunctions, {42, 77, "boot"});
  }
  void Overwrite(size_t offset, char value) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(value);
  }

  const std::string path_ = testing::TempDir() + "/test.lane";
};

TEST_F(LaneFileTest, created__then_opens_with_the_same_places) {
  const auto created = Create(kSmall);
  ASSERT_TRUE(created.ok()) << created.status();
  (*created)->control(1).tid = 5;
  (*created)->shadow(1)[127].path = 6;
  const auto opened = LaneFile::Open(path_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->header().pid, 42u);
  EXPECT_EQ((*opened)->header().process_start_ticks, 77u);
  EXPECT_STREQ((*opened)->header().boot_id, "boot");
  EXPECT_EQ((*opened)->control(1).tid, 5u);
  EXPECT_EQ((*opened)->shadow(1)[127].path, 6u);
}

// FORMAT.md has the same numbers.
TEST_F(LaneFileTest, layout__then_as_the_format_page_says) {
  const auto file = Create(kSmall);
  ASSERT_TRUE(file.ok()) << file.status();
  const FileHeader& layout = (*file)->layout();
  EXPECT_EQ(layout.header_bytes, 4096u);
  EXPECT_EQ(layout.drops_offset, 4096u);
  EXPECT_EQ(layout.shadow_offset, 8192u);
  EXPECT_EQ(layout.ring_offset, 12288u);
  EXPECT_EQ(layout.slot_bytes, 16384u);
  EXPECT_EQ((*file)->size(), 4096u + 2 * 16384u);
  EXPECT_EQ(offsetof(FileHeader, version), 8u);
  EXPECT_EQ(offsetof(FileHeader, slot_bytes), 24u);
  EXPECT_EQ(offsetof(FileHeader, ring_bytes), 56u);
  EXPECT_EQ(offsetof(FileHeader, boot_id), 72u);
  EXPECT_EQ(offsetof(FileHeader, thread_ordinals), 128u);
  EXPECT_EQ(offsetof(SlotControl, dropped_full), 192u);
}

TEST_F(LaneFileTest, filters__then_room_for_their_counters_behind_the_drops) {
  const auto file = LaneFile::Create(path_, kSmall, kFunctions, {}, kFilters | kCoarseClock);
  ASSERT_TRUE(file.ok()) << file.status();
  const FileHeader& layout = (*file)->layout();
  EXPECT_EQ(layout.filtered_offset, 8192u);
  EXPECT_EQ(layout.shadow_offset, 12288u);
  EXPECT_EQ(offsetof(FileHeader, filtered_offset), 112u);
  EXPECT_EQ(offsetof(FileHeader, clock_ticks), 3072u);
  EXPECT_EQ(offsetof(SlotControl, call_limit), 48u);
  const auto opened = LaneFile::Open(path_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE((*opened)->Has(kFilters));
  EXPECT_TRUE((*opened)->Has(kCoarseClock));
}

TEST_F(LaneFileTest, filters_claimed_but_without_their_room__then_data_loss) {
  ASSERT_TRUE(Create(kSmall).ok());
  Overwrite(offsetof(FileHeader, required_features), static_cast<char>(kFilters));
  EXPECT_EQ(LaneFile::Open(path_).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(LaneFileTest, unknown_feature__then_unimplemented) {
  ASSERT_TRUE(Create(kSmall).ok());
  Overwrite(offsetof(FileHeader, required_features), 4);
  EXPECT_EQ(LaneFile::Open(path_).status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(LaneFileTest, limits_out_of_range__then_invalid_argument) {
  for (const LaneLimits& limits :
       {LaneLimits{0, 4096, 128}, LaneLimits{1025, 4096, 128}, LaneLimits{1, 5000, 128},
        LaneLimits{1, 4096, 127}, LaneLimits{1024, 1u << 20, 131072}}) {
    EXPECT_EQ(Create(limits).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

// Stubs add a signed 32-bit distance; tmpfs takes no memory for what is not touched.
TEST_F(LaneFileTest, largest_lanes_that_are_made__then_every_entry_is_within_reach) {
  constexpr uint32_t kMany = 500'000;
  for (const uint64_t features : {uint64_t{0}, uint64_t{kFilters}}) {
    int made = 0;
    for (uint32_t entries = 30'000; entries <= 140'000; entries += 1000) {
      unlink(path_.c_str());
      const LaneLimits limits = {64, 16u << 20, entries, 1u << 20};
      const auto file = LaneFile::Create(path_, limits, kMany, {}, features);
      if (!file.ok()) {
        EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
        continue;
      }
      ++made;
      const FileHeader& layout = (*file)->layout();
      EXPECT_LE(layout.slot_count * layout.slot_bytes + layout.header_bytes + layout.shadow_offset +
                    sizeof(OpenCallEntry),
                uint64_t{INT32_MAX});
    }
    EXPECT_GT(made, 0);
  }
}

TEST_F(LaneFileTest, folder_missing__then_failed_precondition) {
  EXPECT_EQ(LaneFile::Create("/nonexistent/a.lane", kSmall, 1, {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(LaneFileTest, other_magic__then_data_loss) {
  ASSERT_TRUE(Create(kSmall).ok());
  Overwrite(0, 'X');
  EXPECT_EQ(LaneFile::Open(path_).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(LaneFileTest, newer_version__then_unimplemented) {
  ASSERT_TRUE(Create(kSmall).ok());
  Overwrite(offsetof(FileHeader, version), kVersion + 1);
  EXPECT_EQ(LaneFile::Open(path_).status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(LaneFileTest, any_damaged_layout_byte__then_data_loss) {
  for (size_t offset = offsetof(FileHeader, header_bytes); offset < offsetof(FileHeader, pid);
       ++offset) {
    const bool features = offset >= offsetof(FileHeader, required_features) &&
                          offset < offsetof(FileHeader, slot_bytes);
    // 123 functions take as much room as 10.
    if (features || offset == offsetof(FileHeader, function_count)) continue;
    unlink(path_.c_str());
    ASSERT_TRUE(Create(kSmall).ok());
    Overwrite(offset, '\x7B');
    EXPECT_EQ(LaneFile::Open(path_).status().code(), absl::StatusCode::kDataLoss) << offset;
  }
}

TEST_F(LaneFileTest, truncated__then_data_loss) {
  ASSERT_TRUE(Create(kSmall).ok());
  for (const off_t size : {0, 100, 4096, 20000}) {
    ASSERT_EQ(truncate(path_.c_str(), size), 0);
    EXPECT_EQ(LaneFile::Open(path_).status().code(), absl::StatusCode::kDataLoss) << size;
  }
}

}  // namespace
}  // namespace flightrec::lane
