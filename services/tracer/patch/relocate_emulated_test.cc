// Executes the relocated prologues of the libraries installed here, and their
// originals, on random machine states. `tests/bench relocation` does the same
// with a library of 100 MB and more states.

#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/tracer/patch/prologue_differential.h"
#include "services/tracer/symbols/module_reader.h"

namespace flightrec::patch {
namespace {

constexpr double kLeastHooked = 0.98;
constexpr double kLeastCompared = 0.99;

std::vector<std::string> InstalledLibraries() {
  std::vector<std::string> found;
  for (const char* name : {"libc.so.6", "libstdc++.so.6", "libcrypto.so.3", "libsqlite3.so.0"}) {
    const std::string path = absl::StrCat("/usr/lib/x86_64-linux-gnu/", name);
    if (access(path.c_str(), R_OK) == 0) found.push_back(path);
  }
  return found;
}

class RelocateEmulated : public testing::TestWithParam<std::string> {};

TEST_P(RelocateEmulated, every_prologue__then_its_copy_does_the_same) {
  const auto module = symbols::ReadModule(GetParam());
  ASSERT_TRUE(module.ok()) << module.status();
  const auto report = CompareCopies(*module, {});
  ASSERT_TRUE(report.ok()) << report.status();
  std::cout << module->path << ": " << report->Text();
  EXPECT_EQ(report->differences, std::vector<std::string>());
  EXPECT_GE(report->HookedShare(), kLeastHooked);
  EXPECT_GE(static_cast<double>(report->compared),
            kLeastCompared * static_cast<double>(report->hooked));
}

INSTANTIATE_TEST_SUITE_P(Installed, RelocateEmulated, testing::ValuesIn(InstalledLibraries()));

}  // namespace
}  // namespace flightrec::patch
