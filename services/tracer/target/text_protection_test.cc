#include "services/tracer/target/text_protection.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/match.h"

namespace flightrec::target {
namespace {

constexpr char kMaps[] =
    "400000-402000 r-xp 00001000 08:01 12 /bin/private\n"
    "600000-800000 r-xp 00000000 00:11 13 /anon_hugepage (deleted)\n"
    "900000-901000 r-xs 00000000 08:01 14 /bin/shared\n";

absl::Status Check(std::vector<uint64_t> addresses) {
  const auto map = inject::MemoryMap::Parse(kMaps);
  return CheckChangeable(getpid(), *map, std::move(addresses));
}

TEST(TextProtection, private_code_and_addresses_that_are_not_mapped__then_ok) {
  EXPECT_TRUE(Check({0x401FFF, 0x400000, 0x500000, 0x901000}).ok());
}

TEST(TextProtection, huge_pages__then_failed_precondition_that_names_them) {
  const absl::Status status = Check({0x400000, 0x7FFFFF});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "huge pages")) << status;
}

TEST(TextProtection, shared_mapping__then_failed_precondition_that_names_it) {
  const absl::Status status = Check({0x900000});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "/bin/shared")) << status;
}

}  // namespace
}  // namespace flightrec::target
