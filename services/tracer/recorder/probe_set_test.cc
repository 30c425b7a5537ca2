#include "services/tracer/recorder/probe_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace flightrec::tracer {
namespace {

using ::testing::HasSubstr;

constexpr char kProgram[] = "tests/targets/cold_parts";

absl::Status Add(ProbeSet& probes, const std::string& pattern) {
  absl::StatusOr<ProbeChange> change = probes.PlanUpdate(
      {{kProgram, /*base=*/0, /*is_main_executable=*/true, /*end=*/0, /*file=*/""}}, {pattern}, {});
  if (!change.ok()) return change.status();
  probes.Remember({pattern}, {});
  return absl::OkStatus();
}

TEST(ProbeSet, more_requests_than_are_kept__then_resource_exhausted_says_what_to_do) {
  ProbeSet probes;
  for (size_t i = 0; i < kMaxProbeRequests; ++i) probes.Remember({absl::StrCat("f", i)}, {});
  const absl::Status refused = Add(probes, "main");
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("1000 of 1000"));
  EXPECT_THAT(refused.message(), HasSubstr("name more functions in one request"));
}

TEST(ProbeSet, same_function_switched_on_and_off_without_end__then_is_not_refused) {
  ProbeSet probes;
  for (size_t i = 0; i < kMaxProbeRequests; ++i) {
    probes.Remember({"main"}, {});
    probes.Remember({}, {"main"});
  }
  EXPECT_TRUE(Add(probes, "main").ok());
}

}  // namespace
}  // namespace flightrec::tracer
