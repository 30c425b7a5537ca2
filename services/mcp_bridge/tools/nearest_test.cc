#include "services/mcp_bridge/tools/nearest.h"

#include <gtest/gtest.h>

namespace flightrec::mcp_bridge {
namespace {

TEST(NearestNames, typo__puts_the_meant_name_first) {
  EXPECT_EQ(NearestNames("limt", {"recording", "limit", "max_tokens"}),
            "limit, recording, max_tokens");
}

TEST(NearestNames, many_names__gives_five) {
  EXPECT_EQ(NearestNames("a", {"a", "b", "c", "d", "e", "f"}), "a, b, c, d, e");
}

TEST(NearestNames, no_names__gives_nothing) { EXPECT_EQ(NearestNames("a", {}), ""); }

}  // namespace
}  // namespace flightrec::mcp_bridge
