#include "services/tracer/tracer_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flightrec::tracer {
namespace {

using ::testing::HasSubstr;

TracerConfig Valid() {
  TracerConfig config;
  config.backend = "127.0.0.1:7072";
  config.state_directory = "/dev/shm/flightrec-test";
  return config;
}

TEST(TracerConfig, defaults_with_a_backend__then_are_valid) { EXPECT_TRUE(Finalize(Valid()).ok()); }

TEST(TracerConfig, lane_is_no_power_of_two__then_names_the_next_one) {
  TracerConfig config = Valid();
  config.limits.ring_bytes = 5000;
  absl::Status status = Finalize(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("--lane_bytes=5000: use a power of two, such as 8192"));
}

TEST(TracerConfig, limits_fit_one_by_one_but_not_together__then_names_all_three) {
  TracerConfig config = Valid();
  config.limits = {.threads = 1024, .ring_bytes = 64 << 20, .shadow_entries = 1 << 20};
  absl::Status status = Finalize(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(),
              HasSubstr("--max_threads=1024 with --lane_bytes=67108864 and --max_depth=1048576"));
}

TEST(TracerConfig, no_threads__then_gives_the_range) {
  TracerConfig config = Valid();
  config.limits.threads = 0;
  EXPECT_THAT(Finalize(config).status().message(), HasSubstr("--max_threads=0: use 1 to 1024"));
}

TEST(TracerConfig, relative_state_directory__then_asks_for_an_absolute_one) {
  TracerConfig config = Valid();
  config.state_directory = "state";
  EXPECT_THAT(Finalize(config).status().message(),
              HasSubstr("--state_dir=state: use an absolute path"));
}

}  // namespace
}  // namespace flightrec::tracer
