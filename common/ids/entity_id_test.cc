#include "common/ids/entity_id.h"

#include <gtest/gtest.h>

#include "absl/strings/string_view.h"

namespace flightrec::ids {
namespace {

constexpr absl::string_view kBootId = "0a1b2c3d-0000-4000-8000-1234567890ab";
constexpr ProcessId kProcess = 0x11c0488f828f8e8f;

// Ids are stored: these values never change. They were computed by a second
// implementation of the hash that the header describes.
TEST(EntityId, known_inputs__keep_their_ids) {
  EXPECT_EQ(ComputeProcessId(kBootId, 4242, 987654), kProcess);
  EXPECT_EQ(ComputeThreadId(kProcess, 4243, 1), 0x1462c5183910c829u);
  EXPECT_EQ(ComputeFunctionId("\xDE\xAD\xBE\xEF", 0x1140), 0x18cd6ee60427177bu);
}

TEST(EntityId, reused_tid__is_another_thread) {
  EXPECT_NE(ComputeThreadId(kProcess, 4243, 1), ComputeThreadId(kProcess, 4243, 2));
}

TEST(EntityId, reused_pid__is_another_process) {
  EXPECT_NE(ComputeProcessId(kBootId, 4242, 987654), ComputeProcessId(kBootId, 4242, 987655));
}

TEST(EntityId, byte_moved_from_build_id_to_offset__is_another_function) {
  EXPECT_NE(ComputeFunctionId(absl::string_view("a\0", 2), 0), ComputeFunctionId("a", 0));
}

}  // namespace
}  // namespace flightrec::ids
