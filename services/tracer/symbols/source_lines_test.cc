#include "services/tracer/symbols/source_lines.h"

#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/tracer/symbols/module_reader.h"

namespace flightrec::symbols {
namespace {

constexpr char kTestdata[] = "services/tracer/symbols/testdata/";

using LinesByName = std::map<std::string, std::string>;

LinesByName Found(const Module& module, const SourceLines& lines) {
  LinesByName found;
  for (const Function& function : module.functions) {
    const SourceLine line = lines.At(function.offset);
    if (line.line > 0) found[function.name] = absl::StrCat(line.file, ":", line.line);
  }
  return found;
}

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class SourceLinesTest : public testing::TestWithParam<const char*> {
 protected:
  std::string Path() const { return absl::StrCat(kTestdata, GetParam()); }
};

TEST_P(SourceLinesTest, golden_file__then_functions_have_their_lines) {
  const absl::StatusOr<Module> module = ReadModule(Path());
  ASSERT_TRUE(module.ok()) << module.status();
  const SourceLines lines = ReadSourceLines(*module);
  EXPECT_EQ(lines.note(), "");
  EXPECT_EQ(Found(*module, lines), (LinesByName{{"lines::Twice(int)", "/src/lines.cc:7"},
                                                {"lines::Split(int, int)", "/src/lines.cc:11"},
                                                {"lines::Both(int)", "/src/lines.cc:15"},
                                                {"lines::Header(int)", "/src/lines.h:5"}}));
}

TEST_P(SourceLinesTest, some_functions__then_only_their_lines) {
  const absl::StatusOr<Module> module = ReadModule(Path());
  ASSERT_TRUE(module.ok()) << module.status();
  const SourceLines lines = ReadSourceLines(*module, {0});
  EXPECT_EQ(lines.size(), 1u);
  EXPECT_NE(lines.At(module->functions[0].offset).line, 0u);
}

TEST_P(SourceLinesTest, file_cut_anywhere__then_fewer_lines) {
  const std::string whole = Contents(Path());
  const std::string path = testing::TempDir() + "/cut.so";
  absl::StatusOr<Module> module = ReadModule(Path());
  ASSERT_TRUE(module.ok()) << module.status();
  module->path = path;
  for (size_t size = 0; size < whole.size(); size += 61) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    EXPECT_LE(ReadSourceLines(*module).size(), 4u);
  }
}

// The debug sections and the headers of the sections are the second half of
// these files.
TEST_P(SourceLinesTest, bytes_flipped_anywhere__then_at_most_these_functions) {
  const std::string whole = Contents(Path());
  const std::string path = testing::TempDir() + "/flipped.so";
  absl::StatusOr<Module> module = ReadModule(Path());
  ASSERT_TRUE(module.ok()) << module.status();
  module->path = path;
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::string damaged = whole;
    for (int i = 0; i < 1 + round % 6; ++i) {
      const size_t at = damaged.size() / 2 + random() % (damaged.size() / 2);
      damaged[at] = round % 2 == 0 ? static_cast<char>(random()) : '\xff';
    }
    std::ofstream(path, std::ios::binary | std::ios::trunc) << damaged;
    EXPECT_LE(ReadSourceLines(*module).size(), 4u);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, SourceLinesTest,
                         testing::Values("gcc_dwarf4.so", "gcc_dwarf5.so", "gcc_zlib.so",
                                         "gcc_zstd.so", "clang_dwarf4.so", "clang_dwarf5.so",
                                         "gcc_stripped.so"));

TEST(SourceLines, no_debug_information__then_none_and_no_note) {
  const absl::StatusOr<Module> module = ReadModule("/bin/true");
  ASSERT_TRUE(module.ok()) << module.status();
  const SourceLines lines = ReadSourceLines(*module);
  EXPECT_EQ(lines.size(), 0u);
  EXPECT_EQ(lines.note(), "");
  EXPECT_EQ(lines.At(0).line, 0u);
}

TEST(SourceLines, section_damaged__then_note_says_where) {
  std::string damaged = Contents(absl::StrCat(kTestdata, "gcc_dwarf5.so"));
  absl::StatusOr<Module> module = ReadModule(absl::StrCat(kTestdata, "gcc_dwarf5.so"));
  ASSERT_TRUE(module.ok()) << module.status();
  // Version 5, 8-byte addresses, no segments: at byte 4 of the only unit.
  const size_t version = damaged.find(std::string("\x05\0\x08\0", 4), damaged.size() / 2);
  ASSERT_NE(version, std::string::npos);
  damaged[version] = 99;
  module->path = testing::TempDir() + "/version.so";
  std::ofstream(module->path, std::ios::binary) << damaged;
  const SourceLines lines = ReadSourceLines(*module);
  EXPECT_EQ(lines.size(), 0u);
  EXPECT_EQ(lines.note(), absl::StrCat("source lines of ", module->path,
                                       " are incomplete: .debug_line is damaged at byte 0"));
}

}  // namespace
}  // namespace flightrec::symbols
