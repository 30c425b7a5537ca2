#include "services/tracer/drain/ordinal_extender.h"

#include <gtest/gtest.h>

namespace flightrec::drain {
namespace {

constexpr uint64_t kStep = uint64_t{1} << 28;

TEST(OrdinalExtender, calls_in_order__count_past_32_bits) {
  OrdinalExtender extender;
  for (uint64_t ordinal = 1; ordinal < 40 * kStep; ordinal += kStep) {
    ASSERT_EQ(extender.Extend(static_cast<uint32_t>(ordinal), 10 * ordinal), ordinal);
  }
}

TEST(OrdinalExtender, call_that_was_open_for_long__keeps_its_small_ordinal) {
  OrdinalExtender extender;
  for (uint64_t ordinal = 2; ordinal < 40 * kStep; ordinal += kStep) {
    extender.Extend(static_cast<uint32_t>(ordinal), 10 * ordinal);
  }
  EXPECT_EQ(extender.Extend(1, 10), 1u);
  const uint64_t middle = 20 * kStep + 77;
  EXPECT_EQ(extender.Extend(static_cast<uint32_t>(middle), 10 * middle), middle);
}

TEST(OrdinalExtender, first_call_seen_far_behind_the_beginning__is_not_negative) {
  OrdinalExtender extender;
  EXPECT_EQ(extender.Extend(0xC0000000, 50), 0xC0000000u);
}

TEST(OrdinalExtender, call_that_began_just_before_a_mark__is_below_it) {
  OrdinalExtender extender;
  const uint64_t mark = uint64_t{1} << 31;
  extender.Extend(static_cast<uint32_t>(mark), 1000);
  EXPECT_EQ(extender.Extend(static_cast<uint32_t>(mark - 1), 999), mark - 1);
  EXPECT_EQ(extender.Extend(static_cast<uint32_t>(mark + 1), 1001), mark + 1);
}

}  // namespace
}  // namespace flightrec::drain
