#include "services/tracer/host/elf_kind.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace flightrec::host {
namespace {

std::string TestData(const std::string& name) {
  return absl::StrCat(std::getenv("TEST_SRCDIR"), "/", std::getenv("TEST_WORKSPACE"),
                      "/services/tracer/host/testdata/", name);
}

std::string WriteFile(const std::string& name, const std::string& bytes) {
  const std::string path = testing::TempDir() + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

TEST(ElfKind, program_of_this_machine__then_its_loader_symbols_and_build_are_known) {
  const absl::StatusOr<ElfKind> kind = ReadElfKind("/proc/self/exe");
  ASSERT_TRUE(kind.ok()) << kind.status();
  EXPECT_TRUE(kind->is_64_bit);
  EXPECT_EQ(kind->machine, EM_X86_64);
  EXPECT_FALSE(kind->is_static());
  EXPECT_TRUE(absl::StrContains(kind->interpreter, "ld-linux")) << kind->interpreter;
  EXPECT_TRUE(kind->has_symtab);
  EXPECT_FALSE(kind->is_go);
  EXPECT_FALSE(kind->is_flightrec_service);
  EXPECT_EQ(MachineName(*kind), "64-bit x86");
}

TEST(ElfKind, static_program__then_has_no_loader) {
  const absl::StatusOr<ElfKind> kind = ReadElfKind(TestData("static_program"));
  ASSERT_TRUE(kind.ok()) << kind.status();
  EXPECT_TRUE(kind->is_static());
}

TEST(ElfKind, sections_of_the_go_linker_and_of_our_server__then_are_recognised) {
  const absl::StatusOr<ElfKind> go = ReadElfKind(TestData("go_sections"));
  ASSERT_TRUE(go.ok()) << go.status();
  EXPECT_TRUE(go->is_go);
  EXPECT_FALSE(go->is_flightrec_service);
  const absl::StatusOr<ElfKind> service = ReadElfKind(TestData("service_section"));
  ASSERT_TRUE(service.ok()) << service.status();
  EXPECT_TRUE(service->is_flightrec_service);
  EXPECT_FALSE(service->is_go);
}

TEST(ElfKind, program_of_another_machine__then_is_named) {
  Elf32_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_machine = EM_386;
  const std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  const absl::StatusOr<ElfKind> old = ReadElfKind(WriteFile("i386", bytes));
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_FALSE(old->is_64_bit);
  EXPECT_EQ(MachineName(*old), "32-bit x86");
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_machine = EM_AARCH64;
  const std::string arm(reinterpret_cast<const char*>(&header), sizeof(header));
  const absl::StatusOr<ElfKind> other = ReadElfKind(WriteFile("arm", arm));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(MachineName(*other), "64-bit ARM");
}

TEST(ElfKind, file_that_is_no_program__then_says_so) {
  EXPECT_EQ(ReadElfKind(WriteFile("text", "#!/bin/sh\n")).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReadElfKind("/nonexistent").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace flightrec::host
