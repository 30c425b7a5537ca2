#include "services/tracer/ingest/backoff.h"

#include <gtest/gtest.h>

#include <random>

namespace flightrec::ingest {
namespace {

TEST(Backoff, steps__double_up_to_the_limit_and_vary_below) {
  std::mt19937_64 random(1);
  Backoff backoff({.initial = absl::Seconds(1), .max = absl::Seconds(5)});
  for (const int seconds : {1, 2, 4, 5, 5}) {
    const absl::Duration wait = backoff.Next(random);
    EXPECT_LE(wait, absl::Seconds(seconds));
    EXPECT_GE(wait, absl::Seconds(seconds) / 2);
  }
}

TEST(Backoff, after_reset__starts_with_the_first_step) {
  std::mt19937_64 random(1);
  Backoff backoff({.initial = absl::Seconds(1), .max = absl::Seconds(5)});
  for (int i = 0; i < 5; ++i) backoff.Next(random);
  backoff.Reset();
  EXPECT_LE(backoff.Next(random), absl::Seconds(1));
}

}  // namespace
}  // namespace flightrec::ingest
