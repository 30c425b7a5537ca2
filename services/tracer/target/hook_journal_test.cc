#include "services/tracer/target/hook_journal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace flightrec::target {
namespace {

constexpr char kText[] =
    "flightrec-hooks 2\n"
    "phase hooked\n"
    "process 42 777 5b2a-boot\n"
    "program 7ffc00001000\n"
    "data 7f0000001000 2000\n"
    "mapped 7f0000001000\n"
    "agent 1 7f0000001000 7f0000002000 3a\n"
    "code 7f0000008000 1000\n"
    "text 401000 f30f1efa55 e9fbffffff\n"
    "lookup 403000 4889e5554d e900000000\n"
    "text 402000 5548";

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::unique_ptr<HookJournal> WriteText(const std::string& path) {
  auto journal = HookJournal::Create(path, {42, 777, "5b2a-boot"}, 0x7ffc00001000);
  if (!journal.ok()) return nullptr;
  EXPECT_TRUE((*journal)->AddMemory(0x7f0000001000, 0x2000, MemoryKind::kData).ok());
  EXPECT_TRUE((*journal)->SetMapped(0x7f0000001000).ok());
  EXPECT_TRUE((*journal)->SetAgent(1, 0x7f0000001000, 0x7f0000002000, 0x3a).ok());
  EXPECT_TRUE((*journal)->AddMemory(0x7f0000008000, 0x1000, MemoryKind::kCode).ok());
  const std::vector<uint8_t> original = {0xf3, 0x0f, 0x1e, 0xfa, 0x55};
  const std::vector<uint8_t> lookup = {0x48, 0x89, 0xe5, 0x55, 0x4d};
  EXPECT_TRUE((*journal)
                  ->AddText({{0x401000, original, {0xe9, 0xfb, 0xff, 0xff, 0xff}},
                             {0x401000, original, original},
                             {0x403000, lookup, {0xe9, 0, 0, 0, 0}, /*lookup=*/true}})
                  .ok());
  return *std::move(journal);
}

TEST(HookJournal, written__then_the_text_of_its_format) {
  const std::string path = testing::TempDir() + "/journal_test.hooks";
  const std::unique_ptr<HookJournal> journal = WriteText(path);
  ASSERT_NE(journal, nullptr);
  EXPECT_EQ(absl::StrCat(Contents(path), "text 402000 5548"), kText);
  journal->Remove();
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(HookJournal, read__then_an_unfinished_line_does_not_count) {
  const auto content = ParseJournal(kText);
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ(content->process.pid, 42u);
  EXPECT_EQ(content->process.start_ticks, 777u);
  EXPECT_EQ(content->process.boot_id, "5b2a-boot");
  EXPECT_EQ(content->stack, 0x7ffc00001000u);
  EXPECT_FALSE(content->leaves);
  EXPECT_TRUE(content->memory.at(0x7f0000001000).mapped);
  EXPECT_FALSE(content->memory.at(0x7f0000008000).mapped);
  EXPECT_EQ(content->memory.at(0x7f0000008000).kind, MemoryKind::kCode);
  EXPECT_EQ(content->agent_version, 1u);
  EXPECT_EQ(content->state, 0x7f0000002000u);
  EXPECT_EQ(content->stub_return, 0x3au);
  ASSERT_EQ(content->text.size(), 2u);
  EXPECT_TRUE(content->text.at(0x403000).lookup);
  EXPECT_EQ(content->text.at(0x401000).changed,
            (std::vector<std::vector<uint8_t>>{{0xe9, 0xfb, 0xff, 0xff, 0xff}}));
}

TEST(HookJournal, continued_after_an_unfinished_line__then_the_line_is_written_over) {
  const std::string path = testing::TempDir() + "/journal_continued.hooks";
  std::ofstream(path) << kText;
  auto journal = HookJournal::Continue(path);
  ASSERT_TRUE(journal.ok()) << journal.status();
  EXPECT_TRUE((*journal)->AddText({{0x404000, {0x55, 0x48}, {0xeb, 0x00}}}).ok());
  EXPECT_TRUE((*journal)->SetLeaving().ok());
  const auto content = ReadJournal(path);
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_TRUE(content->leaves);
  EXPECT_EQ(content->text.count(0x402000), 0u);
  EXPECT_EQ(content->text.count(0x404000), 1u);
  (*journal)->Remove();
}

TEST(HookJournal, of_version_1__then_read) {
  const auto content = ParseJournal(
      "flightrec-hooks 1\nprocess 42 777 5b2a-boot\nmemory 7f0000001000 2000\n"
      "agent 7f0000001000 7f0000002000\ntext 401000 f30f1efa55 e9fbffffff\n");
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ(content->stack, 0u);
  EXPECT_TRUE(content->memory.at(0x7f0000001000).mapped);
  EXPECT_EQ(content->memory.at(0x7f0000001000).kind, MemoryKind::kUnknown);
  EXPECT_EQ(content->agent_version, 1u);
  EXPECT_EQ(content->stub_return, 0u);
  EXPECT_EQ(content->text.size(), 1u);
}

TEST(HookJournal, damaged_or_of_another_version__then_says_so) {
  EXPECT_EQ(ParseJournal("").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseJournal("something else\n").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseJournal("flightrec-hooks 3\n").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(ParseJournal("flightrec-hooks 2\nprocess 1 2 b\n").status().code(),
            absl::StatusCode::kDataLoss);
  for (const char* line : {"text 1 5 5\n", "text 1 zz 55\n", "text 1 55 5555\n", "data 1\n",
                           "process 1 2\n", "\n", "else\n", "mapped 1\n", "phase other\n"}) {
    EXPECT_EQ(ParseJournal(absl::StrCat("flightrec-hooks 2\n", line)).status().code(),
              absl::StatusCode::kDataLoss)
        << line;
  }
}

}  // namespace
}  // namespace flightrec::target
