#include "services/tracer/target/needed_libraries.h"

#include <gtest/gtest.h>
#include <link.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/target/loader_cache.h"

namespace flightrec::target {
namespace {

std::vector<std::string> Sorted(std::vector<std::string> paths) {
  std::sort(paths.begin(), paths.end());
  return paths;
}

// What the loader has mapped for this very program.
std::vector<std::string> Mapped() {
  std::vector<std::string> paths;
  dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        const std::string name = info->dlpi_name;
        if (!absl::StrContains(name, "/")) return 0;  // this program, the vdso
        static_cast<std::vector<std::string>*>(out)->push_back(
            std::filesystem::canonical(name).string());
        return 0;
      },
      &paths);
  return Sorted(paths);
}

TEST(NeededLibraries, this_program__then_exactly_what_the_loader_has_mapped) {
  const auto found = FindNeededLibraries("/proc/self/exe", {});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->missing, std::vector<std::string>());
  EXPECT_EQ(Sorted(found->paths), Mapped());
}

TEST(NeededLibraries, no_cache__then_system_folders_are_searched) {
  const auto found = FindNeededLibraries("/proc/self/exe", {}, "/nonexistent");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(Sorted(found->paths), Mapped());
}

TEST(NeededLibraries, library_path__then_comes_before_the_cache) {
  std::string folder = absl::StrCat(testing::TempDir(), "/library_path");
  std::filesystem::create_directories(folder);
  folder = std::filesystem::canonical(folder).string();
  const auto usual = FindNeededLibraries("/proc/self/exe", {});
  ASSERT_TRUE(usual.ok()) << usual.status();
  const auto libc = std::find_if(usual->paths.begin(), usual->paths.end(), [](const auto& path) {
    return absl::EndsWith(path, "/libc.so.6");
  });
  ASSERT_NE(libc, usual->paths.end());
  const std::string copy = absl::StrCat(folder, "/libc.so.6");
  std::filesystem::copy_file(*libc, copy, std::filesystem::copy_options::overwrite_existing);
  const auto found =
      FindNeededLibraries("/proc/self/exe", {absl::StrCat("LD_LIBRARY_PATH=/none:", folder)});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(std::count(found->paths.begin(), found->paths.end(), copy), 1);
  EXPECT_EQ(std::count(found->paths.begin(), found->paths.end(), *libc), 0);
}

TEST(NeededLibraries, preloaded_library_that_is_not_there__then_missing) {
  const auto found = FindNeededLibraries("/proc/self/exe", {"LD_PRELOAD=libnowhere.so"});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->missing.size(), 1u);
  EXPECT_TRUE(absl::StartsWith(found->missing[0], "libnowhere.so, needed by "))
      << found->missing[0];
}

TEST(NeededLibraries, no_program__then_not_found) {
  EXPECT_EQ(FindNeededLibraries("/no/such/program", {}).status().code(),
            absl::StatusCode::kNotFound);
}

std::string Number(uint64_t value, int bytes) {
  return std::string(reinterpret_cast<const char*>(&value), static_cast<size_t>(bytes));
}

TEST(LoaderCache, entries__then_only_those_for_every_x86_64_processor) {
  constexpr uint32_t kStrings = 20 + 28 + 3 * 24;
  const auto entry = [](uint32_t flags, uint64_t hardware) {
    return Number(flags, 4) + Number(kStrings, 4) + Number(kStrings + 7, 4) + Number(0, 4) +
           Number(hardware, 8);
  };
  const std::string content =
      absl::StrCat("glibc-ld.so.cache1.1", Number(3, 4), Number(14, 4), Number(0, 8), Number(0, 8),
                   Number(0, 4), entry(0x0803, 0), entry(0x0303, uint64_t{1} << 62),
                   entry(0x0303, 0), std::string("libx.1\0/lib/x\0", 14));
  const LoaderCache cache = LoaderCache::Parse(absl::StrCat("ld.so-1.7.0 older part", content));
  EXPECT_EQ(cache.size(), 1u);
  EXPECT_EQ(cache.Find("libx.1"), "/lib/x");
  EXPECT_EQ(cache.Find("liby.1"), "");
}

TEST(LoaderCache, damaged__then_empty) {
  EXPECT_EQ(LoaderCache::Parse("").size(), 0u);
  EXPECT_EQ(LoaderCache::Parse("glibc-ld.so.cache1.1").size(), 0u);
  EXPECT_EQ(
      LoaderCache::Parse(absl::StrCat("glibc-ld.so.cache1.1", std::string(40, '\xff'))).size(), 0u);
}

}  // namespace
}  // namespace flightrec::target
