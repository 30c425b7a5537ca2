#include "common/path/path.h"

#include <gtest/gtest.h>

#include <random>

namespace flightrec {
namespace {

TEST(Path, parent_of_an_extended_path__is_the_path_it_was_extended_from) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t parent = random();
    const uint64_t function_id = random();
    ASSERT_EQ(ParentPath(ExtendPath(parent, function_id), function_id), parent)
        << parent << " " << function_id;
  }
}

TEST(Path, same_functions_in_another_order__are_another_path) {
  EXPECT_NE(ExtendPath(ExtendPath(kRootPath, 1), 2), ExtendPath(ExtendPath(kRootPath, 2), 1));
}

TEST(Path, function_without_caller__is_not_the_root) {
  EXPECT_NE(ExtendPath(kRootPath, 1), kRootPath);
}

// Paths are stored: these values never change.
TEST(Path, known_chains__keep_their_ids) {
  EXPECT_EQ(kPathInverseMultiplier * kPathMultiplier, 1u);
  const uint64_t outer = ExtendPath(kRootPath, 0x0123456789ABCDEF);
  EXPECT_EQ(outer, 0x8FF334EAA564D574u);
  EXPECT_EQ(ExtendPath(outer, 0xFEDCBA9876543210), 0xB5C81260572C6CF4u);
}

}  // namespace
}  // namespace flightrec
