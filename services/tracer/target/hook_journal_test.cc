#include "services/tracer/target/hook_journal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace flightrec::target {
namespace {

constexpr char kText[] =
    "flightrec-hooks 1\n"
    "process 42 777 5b2a-boot\n"
    "memory 7f0000001000 2000\n"
    "agent 7f0000001000 7f0000002000\n"
    "text 401000 f30f1efa55 e9fbffffff\n"
    "text 401000 f30f1efa55 f30f1efa55\n"
    "text 402000 5548";

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(HookJournal, written__then_the_text_of_its_format) {
  const std::string path = testing::TempDir() + "/journal_test.hooks";
  auto journal = HookJournal::Create(path, {42, 777, "5b2a-boot"});
  ASSERT_TRUE(journal.ok()) << journal.status();
  EXPECT_TRUE((*journal)->AddMemory(0x7f0000001000, 0x2000).ok());
  EXPECT_TRUE((*journal)->SetAgent(0x7f0000001000, 0x7f0000002000).ok());
  const std::vector<uint8_t> original = {0xf3, 0x0f, 0x1e, 0xfa, 0x55};
  EXPECT_TRUE((*journal)
                  ->AddText({{0x401000, original, {0xe9, 0xfb, 0xff, 0xff, 0xff}},
                             {0x401000, original, original}})
                  .ok());
  EXPECT_EQ(absl::StrCat(Contents(path), "text 402000 5548"), kText);
  (*journal)->Remove();
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(HookJournal, read__then_the_last_line_of_an_address_counts_and_an_unfinished_one_does_not) {
  const auto content = ParseJournal(kText);
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ(content->process.pid, 42u);
  EXPECT_EQ(content->process.start_ticks, 777u);
  EXPECT_EQ(content->process.boot_id, "5b2a-boot");
  EXPECT_EQ(content->memory.at(0x7f0000001000), 0x2000u);
  EXPECT_EQ(content->state, 0x7f0000002000u);
  ASSERT_EQ(content->text.size(), 1u);
  EXPECT_EQ(content->text.at(0x401000).present, content->text.at(0x401000).original);
}

TEST(HookJournal, damaged_or_of_another_version__then_says_so) {
  EXPECT_EQ(ParseJournal("").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseJournal("something else\n").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseJournal("flightrec-hooks 2\n").status().code(), absl::StatusCode::kUnimplemented);
  for (const char* line : {"text 1 5 5\n", "text 1 zz 55\n", "text 1 55 5555\n", "memory 1\n",
                           "process 1 2\n", "\n", "else\n"}) {
    EXPECT_EQ(ParseJournal(absl::StrCat("flightrec-hooks 1\n", line)).status().code(),
              absl::StatusCode::kDataLoss)
        << line;
  }
}

}  // namespace
}  // namespace flightrec::target
