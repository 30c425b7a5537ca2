// The golden lane file has a value of its own in every field; tests/golden/test_format_pages.py
// reads it by the tables of FORMAT.md.

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "services/tracer/lane/lane_file.h"
#include "services/tracer/lane/layout.h"

namespace flightrec::lane {
namespace {

constexpr char kGoldenFile[] = "tests/golden/lane_v2.bin";
constexpr LaneLimits kLimits = {2, 4096, 128};
constexpr uint32_t kFunctions = 3;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void FillHeader(FileHeader& header) {
  header.thread_ordinals = 1001;
  header.refused_by_limit = 1002;
  header.refused_by_memory = 1003;
  header.refused_calls = 1004;
  header.slot_releases = 1005;
  header.free_slots[0] = 1;
  header.children_fork = 1006;
  header.children_vfork = 1007;
  header.children_posix_spawn = 1008;
  header.children_clone = 1009;
  header.execs_begun = 1010;
  header.execs_failed = 1011;
  header.refused_tids[0] = 1012;
}

void FillSlot(const LaneFile& file, uint32_t slot) {
  SlotControl& control = file.control(slot);
  control.state = kActive;
  control.tid = 2001;
  control.thread_pointer = 2002;
  control.thread_ordinal = 2003;
  control.start_ticks = 2004;
  control.ring_populated = 2005;
  control.shadow_populated = 2006;
  control.head = 2007;
  control.tail = 2008;
  control.dropped_full = 2009;
  control.dropped_depth = 2010;
  control.dropped_migrated = 2011;
  file.drops(slot)[2] = 3001;
  file.shadow(slot)[1] = {4001, 4002, 4003, 4004, 0};
  const CallRecord record = {5001, 5002, 5003, 5004, 5005};
  memcpy(file.ring(slot).bytes + sizeof(record), &record, sizeof(record));
}

// To make the file of a new version: run the test and take the file that its message names.
TEST(Golden, lane_file__is_written_as_it_was) {
  const std::string path = std::string(std::getenv("TEST_UNDECLARED_OUTPUTS_DIR")) + "/lane.bin";
  const absl::StatusOr<std::unique_ptr<LaneFile>> file =
      LaneFile::Create(path, kLimits, kFunctions, {4242, 77, "01234567-89ab-cdef"});
  ASSERT_TRUE(file.ok()) << file.status();
  FillHeader((*file)->header());
  FillSlot(**file, 1);
  EXPECT_TRUE(ReadFile(path) == ReadFile(kGoldenFile)) << path << " differs from " << kGoldenFile;
}

TEST(Golden, lane_file__opens) {
  const std::string copy = testing::TempDir() + "/golden.lane";
  std::ofstream(copy, std::ios::binary) << ReadFile(kGoldenFile);
  const absl::StatusOr<std::unique_ptr<LaneFile>> file = LaneFile::Open(copy);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->control(1).tid, 2001u);
  EXPECT_EQ((*file)->layout().slot_count, 2u);
}

}  // namespace
}  // namespace flightrec::lane
