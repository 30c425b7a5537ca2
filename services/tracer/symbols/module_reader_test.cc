#include "services/tracer/symbols/module_reader.h"

#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "services/tracer/symbols/module.h"

// Symbols of this test program, which is the ELF file that the tests read.
extern "C" {
__attribute__((noinline, used)) int module_reader_test_target(int x) { return x * 3 + 1; }
int module_reader_test_alias(int x) __attribute__((nothrow, alias("module_reader_test_target")));
}

namespace flightrec::symbols {

__attribute__((noinline, used)) int NamedTarget(int x) { return module_reader_test_alias(x) + 2; }

namespace {

const char kSelf[] = "/proc/self/exe";

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string WriteFile(const std::string& name, const std::string& content) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  return path;
}

const Function* Find(const Module& module, const std::string& symbol) {
  for (const Function& function : module.functions) {
    if (function.symbol == symbol) return &function;
  }
  return nullptr;
}

// A small ELF file from the system, so that thousands of reads stay fast.
std::string SmallElf() { return Contents("/bin/true"); }

TEST(ModuleReader, own_program__then_finds_function_with_its_code) {
  const absl::StatusOr<Module> module = ReadModule(kSelf);
  ASSERT_TRUE(module.ok()) << module.status();
  EXPECT_TRUE(module->is_program);
  EXPECT_TRUE(module->has_symtab);
  EXPECT_NE(module->interpreter, "");
  const Function* function = Find(*module, "module_reader_test_alias");
  ASSERT_NE(function, nullptr);
  EXPECT_EQ(function->aliases, std::vector<std::string>{"module_reader_test_target"});
  const auto bytes = module->BytesAt(function->offset);
  ASSERT_GE(bytes.size(), function->size);
  const auto* code = reinterpret_cast<const void*>(&module_reader_test_target);
  EXPECT_EQ(std::memcmp(bytes.data(), code, function->size), 0);
}

TEST(ModuleReader, own_program__then_names_are_demangled) {
  const absl::StatusOr<Module> module = ReadModule(kSelf);
  ASSERT_TRUE(module.ok()) << module.status();
  ASSERT_EQ(NamedTarget(1), 6);  // keeps it in the program
  const Function* function = Find(*module, "_ZN9flightrec7symbols11NamedTargetEi");
  ASSERT_NE(function, nullptr);
  EXPECT_EQ(function->name, "flightrec::symbols::NamedTarget(int)");
  EXPECT_EQ(function->short_name, "flightrec::symbols::NamedTarget");
}

TEST(ModuleReader, own_program__then_start_is_program_entry) {
  const absl::StatusOr<Module> module = ReadModule(kSelf);
  ASSERT_TRUE(module.ok()) << module.status();
  const Function* start = Find(*module, "_start");
  ASSERT_NE(start, nullptr);
  EXPECT_EQ(start->kind, Kind::kProgramEntry);
  EXPECT_EQ(start->offset, module->entry);
}

TEST(ModuleReader, own_program__then_functions_are_sorted_and_inside_code) {
  const absl::StatusOr<Module> module = ReadModule(kSelf);
  ASSERT_TRUE(module.ok()) << module.status();
  for (size_t i = 0; i < module->functions.size(); ++i) {
    const Function& function = module->functions[i];
    if (i > 0) {
      EXPECT_LT(module->functions[i - 1].offset, function.offset);
    }
    EXPECT_LE(function.size, module->BytesAt(function.offset).size()) << function.name;
    EXPECT_TRUE(module->SegmentAt(function.offset)->executable) << function.name;
  }
  EXPECT_GT(module->functions.size(), 100u);
  EXPECT_GT(module->code_ranges.size(), 100u);
}

TEST(ModuleReader, stripped_program__then_functions_are_nameless) {
  const absl::StatusOr<Module> module = ReadModule("/bin/true");
  ASSERT_TRUE(module.ok()) << module.status();
  ASSERT_FALSE(module->has_symtab);
  EXPECT_GT(std::count_if(module->functions.begin(), module->functions.end(),
                          [](const Function& f) { return f.name.rfind("sub_", 0) == 0; }),
            10);
}

TEST(ModuleReader, stripped_program__then_linkage_stubs_are_no_functions) {
  const absl::StatusOr<Module> module = ReadModule("/bin/true");
  ASSERT_TRUE(module.ok()) << module.status();
  constexpr uint8_t kJumpThroughSlot[] = {0xff, 0x25};
  const auto is_stub = [&](uint64_t offset) {
    const auto bytes = module->BytesAt(offset);
    return bytes.size() >= 2 && std::equal(bytes.begin(), bytes.begin() + 2, kJumpThroughSlot);
  };
  // The file has such a stub with unwind information of its own, in .plt.got.
  EXPECT_TRUE(
      std::any_of(module->code_ranges.begin(), module->code_ranges.end(),
                  [&](const CodeRange& r) { return r.starts_at_call && is_stub(r.offset); }));
  EXPECT_FALSE(std::any_of(module->functions.begin(), module->functions.end(),
                           [&](const Function& f) { return is_stub(f.offset); }));
}

TEST(ModuleReader, function_at__then_covers_its_bytes_only) {
  Module module;
  Function function;
  function.offset = 0x100;
  function.size = 8;
  module.functions = {function};
  EXPECT_EQ(module.FunctionAt(0xff), -1);
  EXPECT_EQ(module.FunctionAt(0x100), 0);
  EXPECT_EQ(module.FunctionAt(0x107), 0);
  EXPECT_EQ(module.FunctionAt(0x108), -1);
}

TEST(ModuleReader, file_missing__then_not_found) {
  EXPECT_EQ(ReadModule("/nonexistent/program").status().code(), absl::StatusCode::kNotFound);
}

TEST(ModuleReader, folder__then_invalid_argument) {
  EXPECT_EQ(ReadModule("/").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ModuleReader, script__then_says_so) {
  const std::string path = WriteFile("script", "#!/bin/sh\necho\n");
  const absl::Status status = ReadModule(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("not an ELF file (starts with 23 21 2f 62)"),
            absl::string_view::npos)
      << status;
}

TEST(ModuleReader, empty_file__then_invalid_argument) {
  const absl::Status status = ReadModule(WriteFile("empty", "")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("is empty"), absl::string_view::npos) << status;
}

TEST(ModuleReader, class_32_bit__then_failed_precondition) {
  std::string content = SmallElf();
  content[EI_CLASS] = ELFCLASS32;
  const absl::Status status = ReadModule(WriteFile("class32", content)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("32-bit"), absl::string_view::npos) << status;
}

TEST(ModuleReader, other_machine__then_failed_precondition) {
  std::string content = SmallElf();
  content[offsetof(Elf64_Ehdr, e_machine)] = static_cast<char>(EM_AARCH64);
  EXPECT_EQ(ReadModule(WriteFile("arm", content)).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(ModuleReader, without_build_id__then_hash_depends_on_the_code) {
  std::string content = SmallElf();
  const size_t note = content.find(std::string("\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0", 16));
  ASSERT_NE(note, std::string::npos);
  content[note + 8] = 0x7f;
  const absl::StatusOr<Module> first = ReadModule(WriteFile("no_id", content));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(first->build_id_is_hash);
  content[first->entry] ^= 1;  // file offset and address agree in this file
  const absl::StatusOr<Module> second = ReadModule(WriteFile("no_id", content));
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_NE(first->build_id, second->build_id);
}

TEST(ModuleReader, file_cut_anywhere__then_status_or_module) {
  const std::string whole = SmallElf();
  for (size_t size = 0; size < whole.size(); size += size < 1024 ? 7 : 509) {
    const absl::StatusOr<Module> module = ReadModule(WriteFile("cut", whole.substr(0, size)));
    if (module.ok()) continue;
    EXPECT_EQ(module.status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
}

TEST(ModuleReader, bytes_flipped_anywhere__then_status_or_module) {
  const std::string whole = SmallElf();
  std::mt19937 random(7);
  for (int round = 0; round < 1500; ++round) {
    std::string damaged = whole;
    // Headers, where every byte is a size or an offset, get most of the damage.
    const size_t limit = round % 3 == 0 ? damaged.size() : 1024;
    for (int i = 0; i < 1 + round % 8; ++i) {
      damaged[random() % limit] = static_cast<char>(random());
    }
    const absl::StatusOr<Module> module = ReadModule(WriteFile("flipped", damaged));
    if (module.ok()) continue;
    EXPECT_NE(module.status().code(), absl::StatusCode::kInternal);
  }
}

}  // namespace
}  // namespace flightrec::symbols
