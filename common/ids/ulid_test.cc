#include "common/ids/ulid.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/testing/simulated_clock.h"

namespace flightrec::ids {
namespace {

// Example of the ULID specification.
constexpr char kKnown[] = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

TEST(Ulid, known_text__gives_its_bytes_and_time_and_prints_the_same) {
  const absl::StatusOr<Ulid> ulid = Ulid::Parse(kKnown);
  ASSERT_TRUE(ulid.ok()) << ulid.status();
  const Ulid::Bytes bytes = {0x01, 0x56, 0x3E, 0x3A, 0xB5, 0xD3, 0xD6, 0x76,
                             0x4C, 0x61, 0xEF, 0xB9, 0x93, 0x02, 0xBD, 0x5B};
  EXPECT_EQ(ulid->bytes(), bytes);
  EXPECT_EQ(absl::ToUnixMillis(ulid->time()), 0x01563E3AB5D3);
  EXPECT_EQ(ulid->ToString(), kKnown);
}

TEST(Ulid, largest__is_parsed_and_one_more_refused) {
  const std::string largest = "7ZZZZZZZZZZZZZZZZZZZZZZZZZ";
  const absl::StatusOr<Ulid> ulid = Ulid::Parse(largest);
  ASSERT_TRUE(ulid.ok()) << ulid.status();
  EXPECT_EQ(ulid->ToString(), largest);
  EXPECT_EQ(Ulid::Parse("80000000000000000000000000").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Ulid, malformed_text__is_refused_with_the_text) {
  for (const std::string text :
       {"", "01ARZ3NDEKTSV4RRFFQ69G5FA", "01ARZ3NDEKTSV4RRFFQ69G5FAVX",
        "01ARZ3NDEKTSV4RRFFQ69G5FAU", "01arz3ndektsv4rrffq69g5fav", "01ARZ3NDEKTSV4RRFFQ69G5FA/"}) {
    const absl::Status status = Ulid::Parse(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_NE(std::string(status.message()).find("\"" + text + "\""), std::string::npos) << status;
  }
}

TEST(UlidGenerator, within_one_millisecond__ids_increase) {
  testing::SimulatedClock clock;
  std::mt19937_64 random(1);
  UlidGenerator generator(clock, random);
  Ulid last = generator.Generate();
  EXPECT_EQ(last.time(), clock.Now());
  for (int i = 0; i < 1000; ++i) {
    const Ulid next = generator.Generate();
    ASSERT_LT(last, next);
    ASSERT_LT(last.ToString(), next.ToString());
    last = next;
  }
}

TEST(UlidGenerator, later_millisecond__is_larger_and_carries_the_time) {
  testing::SimulatedClock clock;
  std::mt19937_64 random(1);
  UlidGenerator generator(clock, random);
  const Ulid first = generator.Generate();
  clock.Advance(absl::Milliseconds(1));
  const Ulid second = generator.Generate();
  EXPECT_LT(first, second);
  EXPECT_EQ(second.time(), clock.Now());
}

TEST(UlidGenerator, clock_steps_back__ids_still_increase) {
  testing::SimulatedClock clock;
  std::mt19937_64 random(1);
  UlidGenerator generator(clock, random);
  const Ulid first = generator.Generate();
  clock.Advance(-absl::Seconds(10));
  EXPECT_LT(first, generator.Generate());
}

}  // namespace
}  // namespace flightrec::ids
