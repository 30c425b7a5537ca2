#include "services/tracer/stub/call_cost.h"

#include <gtest/gtest.h>

namespace flightrec::stub {
namespace {

TEST(CallCost, measured__then_more_than_two_time_stamps_and_less_than_a_trap) {
  const absl::StatusOr<double> cost = MeasureCallCost();
  ASSERT_TRUE(cost.ok()) << cost.status();
  EXPECT_GT(*cost, 5);
  EXPECT_LT(*cost, 1000);
}

}  // namespace
}  // namespace flightrec::stub
