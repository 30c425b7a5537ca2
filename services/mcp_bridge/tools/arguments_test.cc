#include "services/mcp_bridge/tools/arguments.h"

#include <gtest/gtest.h>

#include "services/mcp_bridge/tools/schema.h"

namespace flightrec::mcp_bridge {
namespace {

Json Schema() {
  return ArgumentsSchema({{"limit", IntegerArgument("", 1, 100, 20)},
                          {"order_by", ChoiceArgument("", {"self", "total"})},
                          {"statement", TextArgument("", 5)}},
                         {"statement"});
}

std::string ErrorOf(const char* arguments) {
  const absl::Status status = CheckArguments(Schema(), Json::parse(arguments)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << arguments;
  return std::string(status.message());
}

TEST(CheckArguments, absent_ones__get_their_defaults) {
  EXPECT_EQ(CheckArguments(Schema(), {{"statement", "x"}})->dump(),
            R"({"statement":"x","limit":20,"order_by":"self"})");
}

TEST(CheckArguments, wrong_ones__are_named_with_value_and_rule) {
  EXPECT_EQ(ErrorOf(R"({"limit":0})"), "limit: must be 1..100, got 0");
  EXPECT_EQ(ErrorOf(R"({"limit":101})"), "limit: must be 1..100, got 101");
  EXPECT_EQ(ErrorOf(R"({"limit":"7"})"), "limit: must be of type integer, got \"7\"");
  EXPECT_EQ(ErrorOf(R"({"limit":1.5})"), "limit: must be of type integer, got 1.5");
  EXPECT_EQ(ErrorOf(R"({"order_by":"selfish"})"),
            "order_by: must be one of [\"self\",\"total\"], got \"selfish\"");
  EXPECT_EQ(ErrorOf(R"({"statement":"SELECT"})"),
            "statement: must be at most 5 bytes, got \"SELECT\"");
  EXPECT_EQ(ErrorOf(R"({"order":"self"})"),
            "order: is no argument of this tool; nearest: order_by, limit, statement");
  EXPECT_EQ(ErrorOf("{}"), "statement: is required");
}

}  // namespace
}  // namespace flightrec::mcp_bridge
