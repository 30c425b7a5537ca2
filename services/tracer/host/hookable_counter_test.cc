#include "services/tracer/host/hookable_counter.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace flightrec::host {
namespace {

constexpr absl::Duration kLong = absl::Seconds(60);

TEST(CountHookable, this_test__then_most_functions_can_be_hooked) {
  const absl::StatusOr<HookableShare> share = CountHookable("/proc/self/exe");
  ASSERT_TRUE(share.ok()) << share.status();
  EXPECT_GT(share->functions, 1000u);
  EXPECT_GT(share->hookable, share->functions / 2);
  EXPECT_LT(share->hookable, share->functions);
}

TEST(CountHookable, no_file__then_not_found) {
  EXPECT_EQ(CountHookable("/nonexistent").status().code(), absl::StatusCode::kNotFound);
}

TEST(HookableCounter, build_that_was_counted__then_is_not_counted_again) {
  int counted = 0;
  HookableCounter counter([&](const std::string& path) {
    ++counted;
    EXPECT_EQ(path, "/first");
    return HookableShare{10, 9};
  });
  for (const char* path : {"/first", "/second"}) {
    counter.Request("build", path);
    const absl::optional<HookableShare> share = counter.Await("build", absl::Now() + kLong);
    ASSERT_TRUE(share.has_value());
    EXPECT_EQ(share->functions, 10u);
    EXPECT_EQ(share->hookable, 9u);
  }
  EXPECT_EQ(counted, 1);
}

TEST(HookableCounter, count_that_takes_long__then_unknown_first_and_known_later) {
  absl::Notification go_on;
  HookableCounter counter([&](const std::string&) {
    go_on.WaitForNotification();
    return HookableShare{10, 9};
  });
  counter.Request("build", "/path");
  EXPECT_FALSE(counter.Await("build", absl::Now()).has_value());
  go_on.Notify();
  EXPECT_TRUE(counter.Await("build", absl::Now() + kLong).has_value());
}

TEST(HookableCounter, file_that_has_gone__then_is_counted_under_its_next_path) {
  HookableCounter counter([&](const std::string& path) -> absl::StatusOr<HookableShare> {
    if (path == "/gone") return absl::NotFoundError("gone");
    return HookableShare{10, 9};
  });
  counter.Request("build", "/gone");
  EXPECT_FALSE(counter.Await("build", absl::Now() + kLong).has_value());
  counter.Request("build", "/there");
  EXPECT_TRUE(counter.Await("build", absl::Now() + kLong).has_value());
}

TEST(HookableCounter, file_that_cannot_be_read__then_stays_unknown) {
  int counted = 0;
  HookableCounter counter([&](const std::string&) -> absl::StatusOr<HookableShare> {
    ++counted;
    return absl::InvalidArgumentError("damaged");
  });
  for (int i = 0; i < 2; ++i) {
    counter.Request("build", "/path");
    EXPECT_FALSE(counter.Await("build", absl::Now() + kLong).has_value());
  }
  EXPECT_EQ(counted, 1);
}

TEST(HookableCounter, build_nobody_asked_for__then_unknown_at_once) {
  HookableCounter counter([](const std::string&) { return HookableShare(); });
  EXPECT_FALSE(counter.Await("other", absl::InfiniteFuture()).has_value());
}

TEST(BuildOf, build_id_or_file__then_tells_programs_apart) {
  ElfKind kind;
  kind.build_id = {0xab, 0x01};
  EXPECT_EQ(BuildOf(kind, "/proc/self/exe"), "ab01");
  kind.build_id.clear();
  EXPECT_EQ(BuildOf(kind, "/proc/self/exe"), BuildOf(kind, "/proc/self/exe"));
  EXPECT_NE(BuildOf(kind, "/proc/self/exe"), BuildOf(kind, "/bin/sh"));
}

}  // namespace
}  // namespace flightrec::host
