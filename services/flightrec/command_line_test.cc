#include "services/flightrec/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace flightrec::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<CommandLine> Parse(const std::vector<std::string>& words) {
  return ParseCommandLine(words, "/store");
}

std::string Error(const std::vector<std::string>& words) {
  absl::StatusOr<CommandLine> line = Parse(words);
  EXPECT_EQ(line.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(line.status().message());
}

TEST(CommandLine, run_with_patterns__then_the_program_keeps_its_own_flags) {
  absl::StatusOr<CommandLine> line =
      Parse({"run", "-f", "parse*", "--function=!log", "--", "ls", "-l", "--output=x"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->command, Command::kRun);
  EXPECT_THAT(line->patterns, ElementsAre("parse*", "!log"));
  EXPECT_THAT(line->program, ElementsAre("ls", "-l", "--output=x"));
  EXPECT_EQ(line->store, "/store");
}

TEST(CommandLine, run_without_dashes__then_flags_after_the_program_are_the_programs) {
  absl::StatusOr<CommandLine> line = Parse({"run", "ls", "-f", "x"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_THAT(line->program, ElementsAre("ls", "-f", "x"));
  EXPECT_TRUE(line->patterns.empty());
}

TEST(CommandLine, filters_and_clock__then_taken) {
  absl::StatusOr<CommandLine> line =
      Parse({"run", "--clock=coarse", "--min_duration=1.5us", "--filter_depth=7", "--thread=io-*",
             "--thread=main", "ls"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_TRUE(line->coarse_clock);
  EXPECT_EQ(line->min_duration, absl::Nanoseconds(1500));
  EXPECT_EQ(line->filter_depth, 7);
  EXPECT_THAT(line->thread_names, ElementsAre("io-*", "main"));
}

TEST(CommandLine, sql_without_a_recording__then_asks_the_latest) {
  absl::StatusOr<CommandLine> line = Parse({"sql", "SELECT 1"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->recording, "@latest");
  EXPECT_EQ(line->statement, "SELECT 1");
}

TEST(CommandLine, attach__then_a_process_and_what_to_record) {
  absl::StatusOr<CommandLine> line = Parse({"attach", "-f", "a*", "--duration=10s", "42"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->target, "42");
  EXPECT_EQ(line->duration, absl::Seconds(10));
  EXPECT_THAT(line->patterns, ElementsAre("a*"));
  EXPECT_THAT(Error({"attach"}), HasSubstr("attach: no process"));
  EXPECT_THAT(Error({"attach", "1", "--duration=-1s"}), HasSubstr("--duration=-1s"));
}

TEST(CommandLine, probes__then_patterns_of_both_kinds) {
  absl::StatusOr<CommandLine> line = Parse({"probes", "--add=a*", "--remove", "ab*", "--add", "c"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->recording, "@latest");
  EXPECT_THAT(line->add_patterns, ElementsAre("a*", "c"));
  EXPECT_THAT(line->remove_patterns, ElementsAre("ab*"));
  EXPECT_THAT(Error({"probes", "@latest"}), HasSubstr("probes: no pattern"));
}

TEST(CommandLine, wrong_words__then_says_which_and_how) {
  EXPECT_THAT(Error({"recrod"}), HasSubstr("'recrod' is not a command"));
  EXPECT_THAT(Error({"run"}), HasSubstr("flightrec run [-f PATTERN] -- PROGRAM"));
  EXPECT_THAT(Error({"report", "@latest", "extra"}), HasSubstr("'extra'"));
  EXPECT_THAT(Error({"report", "--output=xml"}), HasSubstr("--output=xml: use table, tsv or json"));
  EXPECT_THAT(Error({"report", "--limit=0"}), HasSubstr("--limit=0: use a whole number from 1"));
  EXPECT_THAT(Error({"run", "--max_threads=1025", "ls"}), HasSubstr("from 1 to 1024"));
  EXPECT_THAT(Error({"run", "--clock=fast", "ls"}), HasSubstr("use exact or coarse"));
  EXPECT_THAT(Error({"run", "--min_duration=-1us", "ls"}), HasSubstr("such as 500ns"));
  EXPECT_THAT(Error({"run", "--min_duration=5", "ls"}), HasSubstr("such as 500ns"));
  EXPECT_THAT(Error({"run", "--filter_depth=0", "ls"}), HasSubstr("from 1 to 4294967295"));
  EXPECT_THAT(Error({"run", "--lane_bytes=536870912", "ls"}), HasSubstr("from 1 to 268435456"));
  EXPECT_THAT(Error({"report", "--limit"}), HasSubstr("--limit: its value is missing"));
  EXPECT_THAT(Error({"report", "--colour=on"}), HasSubstr("'--colour=on' is not a flag"));
}

TEST(CommandLine, commands_of_the_store__then_they_need_what_they_are_about) {
  EXPECT_EQ(Parse({"backup", "/copy"})->directory, "/copy");
  EXPECT_EQ(Parse({"restore", "/copy", "--store=/new"})->store, "/new");
  EXPECT_EQ(Parse({"undelete", "01J"})->recording, "01J");
  EXPECT_TRUE(Parse({"recordings", "--deleted"})->deleted);
  EXPECT_FALSE(Parse({"recordings"})->deleted);
  EXPECT_THAT(Error({"recordings", "--deleted=no"}), HasSubstr("it takes no value"));
  EXPECT_THAT(Error({"backup"}), HasSubstr("no directory"));
  EXPECT_THAT(Error({"delete"}), HasSubstr("no recording"));
  EXPECT_THAT(Error({"fsck", "x"}), HasSubstr("one word too many"));
}

}  // namespace
}  // namespace flightrec::cli
