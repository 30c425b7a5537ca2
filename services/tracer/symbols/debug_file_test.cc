#include "services/tracer/symbols/debug_file.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "services/tracer/symbols/module_reader.h"

namespace flightrec::symbols {
namespace {

namespace fs = std::filesystem;

// A stripped library in a folder of its own, and a root of debug files.
class DebugFileTest : public testing::Test {
 protected:
  DebugFileTest()
      : base_(fs::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name()),
        root_(base_ / "debug") {
    fs::remove_all(base_);
    Copy("gcc_stripped.so", base_ / "lib");
  }

  // `as`: the name it gets; its own when empty.
  std::string Copy(const std::string& name, const fs::path& folder, const std::string& as = "") {
    fs::create_directories(folder);
    const fs::path place = folder / (as.empty() ? name : as);
    fs::copy_file(fs::path("services/tracer/symbols/testdata") / name, place);
    return place.string();
  }

  // Where the debug file of `library` is by its build id.
  std::string CopyByBuildId(const std::string& name) {
    const std::string id = absl::BytesToHexString(absl::string_view(
        reinterpret_cast<const char*>(Read("gcc_stripped.so").build_id.data()), 20));
    return Copy(name, root_ / ".build-id" / id.substr(0, 2), id.substr(2) + ".debug");
  }

  Module Read(const std::string& library) {
    absl::StatusOr<Module> module =
        ReadModule((base_ / "lib" / library).string(), {root_.string()});
    EXPECT_TRUE(module.ok()) << module.status();
    return module.ok() ? *std::move(module) : Module();
  }

  static std::vector<std::string> Names(const Module& module) {
    std::vector<std::string> names;
    for (const Function& function : module.functions) names.push_back(function.short_name);
    return names;
  }

  const fs::path base_;
  const fs::path root_;
};

using StringList = std::vector<std::string>;

const StringList& AllNames() {
  static const auto* const kNames =
      new StringList{"lines::Split", "lines::Twice", "lines::Both", "lines::Header"};
  return *kNames;
}

TEST_F(DebugFileTest, none__then_exported_names_only) {
  const Module module = Read("gcc_stripped.so");
  EXPECT_EQ(module.debug_file, "");
  EXPECT_FALSE(module.has_symtab);
  EXPECT_EQ(Names(module), (StringList{"lines::Twice", "lines::Both", "lines::Header"}));
  EXPECT_EQ(module.notes, StringList());
}

TEST_F(DebugFileTest, by_build_id__then_its_symbols) {
  const std::string path = CopyByBuildId("gcc.debug");
  const Module module = Read("gcc_stripped.so");
  EXPECT_EQ(module.debug_file, path);
  EXPECT_TRUE(module.has_symtab);
  EXPECT_EQ(Names(module), AllNames());
  EXPECT_EQ(module.notes, StringList());
}

TEST_F(DebugFileTest, build_id_differs__then_ignored_and_noted) {
  const std::string path = CopyByBuildId("clang.debug");
  const Module module = Read("gcc_stripped.so");
  EXPECT_EQ(module.debug_file, "");
  EXPECT_EQ(module.notes,
            StringList{absl::StrCat("debug file ", path, " of ", module.path,
                                    " is not used: it is of another build: the build ids differ")});
}

TEST_F(DebugFileTest, beside_the_file__then_by_its_link) {
  for (const fs::path& folder :
       {base_ / "lib", base_ / "lib" / ".debug",
        fs::path(root_.string() + fs::canonical(base_).string()) / "lib"}) {
    const std::string path = Copy("gcc.debug", folder);
    const Module module = Read("gcc_stripped.so");
    EXPECT_TRUE(fs::equivalent(module.debug_file, path)) << module.debug_file;
    EXPECT_EQ(Names(module), AllNames());
    fs::remove(path);
  }
}

TEST_F(DebugFileTest, beside_the_file_of_another_build__then_next_place) {
  Copy("clang.debug", base_ / "lib", "gcc.debug");
  const std::string path = Copy("gcc.debug", base_ / "lib" / ".debug");
  const Module module = Read("gcc_stripped.so");
  EXPECT_TRUE(fs::equivalent(module.debug_file, path)) << module.debug_file;
  EXPECT_EQ(module.notes.size(), 1u);
}

TEST_F(DebugFileTest, no_build_id__then_checksum_decides) {
  Copy("no_id_stripped.so", base_ / "lib");
  const std::string path = Copy("no_id.debug", base_ / "lib");
  EXPECT_EQ(Names(Read("no_id_stripped.so")), AllNames());
  std::ofstream(path, std::ios::binary | std::ios::app) << '\0';
  const Module module = Read("no_id_stripped.so");
  EXPECT_EQ(module.debug_file, "");
  ASSERT_EQ(module.notes.size(), 1u);
  EXPECT_NE(module.notes[0].find("its checksum differs"), std::string::npos) << module.notes[0];
}

TEST_F(DebugFileTest, not_an_elf_file__then_noted) {
  fs::create_directories(base_ / "lib");
  std::ofstream(base_ / "lib" / "gcc.debug") << "text";
  const Module module = Read("gcc_stripped.so");
  EXPECT_EQ(module.debug_file, "");
  ASSERT_EQ(module.notes.size(), 1u);
  EXPECT_NE(module.notes[0].find("is not an ELF file"), std::string::npos) << module.notes[0];
}

}  // namespace
}  // namespace flightrec::symbols
