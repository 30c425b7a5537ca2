#include "services/tracer/host/process_filter.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"

namespace flightrec::host {
namespace {

ProcessTexts Texts() {
  return {"1234",
          "nginx",
          "nginx: worker process",
          "www-data",
          "web 6911987d6f79",
          "docker.io/library/nginx:1.25",
          "web-7",
          true};
}

bool Matches(const std::string& filter) {
  const absl::StatusOr<ProcessFilter> parsed = ProcessFilter::Parse(filter);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() && parsed->Matches(Texts());
}

TEST(ProcessFilter, words__then_each_has_to_match_somewhere) {
  EXPECT_TRUE(Matches(""));
  EXPECT_TRUE(Matches("NGINX"));
  EXPECT_TRUE(Matches("worker web-7"));
  EXPECT_TRUE(Matches("6911"));
  EXPECT_FALSE(Matches("worker apache"));
}

TEST(ProcessFilter, fields__then_only_they_are_looked_at) {
  EXPECT_TRUE(Matches("name:nginx user:www container:web image:1.25 pod:web-7"));
  EXPECT_FALSE(Matches("user:nginx"));
  EXPECT_TRUE(Matches("command:worker"));
  EXPECT_TRUE(Matches("pid:1234"));
  EXPECT_FALSE(Matches("pid:123"));
  EXPECT_TRUE(Matches("attachable:true"));
  EXPECT_FALSE(Matches("attachable:false"));
}

TEST(ProcessFilter, word_that_cannot_be_understood__then_invalid_argument) {
  for (const char* filter : {"uid:0", "name:", ":x", "attachable:yes"}) {
    const absl::Status status = ProcessFilter::Parse(filter).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << filter;
    EXPECT_TRUE(absl::StrContains(status.message(), filter)) << status;
  }
  std::string many;
  for (size_t i = 0; i <= kMaxFilterWords; ++i) many += "x ";
  EXPECT_EQ(ProcessFilter::Parse(many).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace flightrec::host
