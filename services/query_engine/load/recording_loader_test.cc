#include "services/query_engine/load/recording_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/chunk/format.h"
#include "services/query_engine/engine/statement.h"
#include "services/query_engine/load/thread_script.h"

namespace flightrec::query_engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kMain = 1;
constexpr uint64_t kParse = 2;
constexpr uint64_t kRead = 3;

std::string Print(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<int64_t>(&value)) return absl::StrCat(*number);
  if (const auto* natural = std::get_if<uint64_t>(&value)) return absl::StrCat(*natural);
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  return "-";
}

class RecordingLoaderTest : public ::testing::Test {
 protected:
  RecordingLoaderTest() {
    database_ = *Database::Open({.memory_bytes = int64_t{256} << 20, .threads = 1});
    loader_ = *RecordingLoader::Create(*database_);
    recording_.set_name("recordings/01ARZ3NDEKTSV4RRFFQ69G5FAV");
    recording_.set_state(trace::v1::RECORDING_STATE_SEALED);
    AddFunction(kMain, "main");
    AddFunction(kParse, "parse");
    AddFunction(kRead, "read");
  }

  void AddFunction(uint64_t id, const std::string& name) {
    trace::v1::Function function;
    function.set_function_id(id);
    function.set_name(name);
    ASSERT_EQ(loader_->AddFunction(function), absl::OkStatus());
  }

  void Add(const chunk::CallChunk& chunk) { ASSERT_EQ(loader_->AddChunk(chunk), absl::OkStatus()); }

  void Finish() {
    const auto completeness = loader_->Finish(recording_);
    ASSERT_EQ(completeness.status(), absl::OkStatus());
    completeness_ = *completeness;
  }

  // One string a row, columns separated by a space, NULL as "-".
  std::vector<std::string> Query(const std::string& sql) {
    const auto connection = *database_->Connect();
    const auto rows = FetchAll(*connection, sql);
    EXPECT_EQ(rows.status(), absl::OkStatus());
    std::vector<std::string> printed;
    for (const Row& row : *rows) {
      std::vector<std::string> values;
      for (const Value& value : row) values.push_back(Print(value));
      printed.push_back(absl::StrJoin(values, " "));
    }
    return printed;
  }

  // call_id, parent, function, depth, start, duration, self
  std::vector<std::string> Calls() {
    return Query(
        "SELECT call_id, parent_call_id, f.name, depth, start_ns, duration_ns, self_ns "
        "FROM calls JOIN functions f USING (function_id) ORDER BY thread_id, call_id");
  }

  std::unique_ptr<Database> database_;
  std::unique_ptr<RecordingLoader> loader_;
  trace::v1::Recording recording_;
  trace::v1::Completeness completeness_;
};

TEST_F(RecordingLoaderTest, nested_calls__then_have_parents_depths_and_self_times) {
  ThreadScript thread(7);
  thread.Enter(10, kMain).Enter(20, kParse).Enter(30, kRead).Leave(45).Leave(60);
  thread.Enter(70, kRead).Leave(75).Leave(100);
  Add(thread.Seal(true));
  Finish();
  EXPECT_THAT(Calls(), ElementsAre("1 - main 0 10 90 45", "2 1 parse 1 20 40 25",
                                   "3 2 read 2 30 15 15", "4 1 read 1 70 5 5"));
  EXPECT_EQ(completeness_.calls_recorded(), 4u);
  EXPECT_FALSE(completeness_.still_recording());
}

TEST_F(RecordingLoaderTest, calls_end_in_a_later_chunk__then_chunks_are_joined) {
  ThreadScript thread(7);
  thread.Enter(10, kMain).Enter(20, kParse).Leave(30);
  Add(thread.Seal());
  thread.Enter(40, kRead).Leave(50).Leave(60);
  Add(thread.Seal(true));
  Finish();
  EXPECT_THAT(Calls(),
              ElementsAre("1 - main 0 10 50 30", "2 1 parse 1 20 10 10", "3 1 read 1 40 10 10"));
}

TEST_F(RecordingLoaderTest, recursion__then_only_the_outermost_call_counts_for_the_total) {
  ThreadScript thread(7);
  thread.Enter(0, kMain).Enter(10, kParse).Enter(20, kParse).Enter(30, kParse);
  thread.Leave(40).Leave(50).Leave(60).Leave(100);
  Add(thread.Seal(true));
  Finish();
  EXPECT_THAT(Query("SELECT call_id, outermost FROM calls ORDER BY call_id"),
              ElementsAre("1 true", "2 true", "3 false", "4 false"));
  EXPECT_THAT(Query("SELECT calls, total_ns, self_ns FROM rollup.functions WHERE function_id = 2"),
              ElementsAre("3 50 50"));
}

TEST_F(RecordingLoaderTest, parent_lost__then_time_counts_against_the_grandparent) {
  ThreadScript thread(7);
  thread.Enter(0, kMain).Enter(10, kParse).Enter(20, kRead).Leave(30).LeaveLost(40).Leave(100);
  Add(thread.Seal(true));
  Finish();
  EXPECT_THAT(Calls(), ElementsAre("1 - main 0 0 100 90", "3 - read 0 20 10 10"));
  EXPECT_THAT(Query("SELECT thread_id, function_id, calls FROM lost_calls"), ElementsAre("7 2 1"));
  EXPECT_THAT(Query("SELECT calls, calls_timed FROM rollup.functions WHERE function_id = 2"),
              ElementsAre("1 0"));
  EXPECT_EQ(completeness_.calls_lost(), 1u);
}

TEST_F(RecordingLoaderTest, calls_filtered__then_counted_and_not_called_lost) {
  ThreadScript thread(7);
  thread.Enter(0, kMain).Leave(100);
  chunk::CallChunk chunk = thread.Seal(true);
  chunk.header.required_features = chunk::kFeatureFiltered;
  chunk.filtered_before = {{.function_id = kMain, .count = 2}, {.function_id = kRead, .count = 5}};
  Add(chunk);
  Finish();
  EXPECT_THAT(Query("SELECT function_id, calls, filtered FROM lost_calls ORDER BY function_id"),
              ElementsAre("1 2 true", "3 5 true"));
  EXPECT_THAT(Query("SELECT function_id, calls, calls_timed FROM rollup.functions ORDER BY 1"),
              ElementsAre("1 3 1", "3 5 0"));
  EXPECT_EQ(completeness_.calls_filtered(), 7u);
  EXPECT_EQ(completeness_.calls_lost(), 0u);
}

TEST_F(RecordingLoaderTest, calls_never_ended__then_are_open_and_counted) {
  ThreadScript thread(7);
  thread.Enter(0, kMain).Enter(10, kParse).Leave(20).Enter(30, kRead);
  Add(thread.Seal(true));
  Finish();
  EXPECT_THAT(Calls(),
              ElementsAre("1 - main 0 0 - -", "2 1 parse 1 10 10 10", "3 1 read 1 30 - -"));
  EXPECT_THAT(Query("SELECT calls, calls_timed, total_ns FROM rollup.functions "
                    "WHERE function_id = 1"),
              ElementsAre("1 0 0"));
  EXPECT_EQ(completeness_.calls_open(), 2u);
}

TEST_F(RecordingLoaderTest, times_are_equal__then_paths_decide) {
  ThreadScript thread(7);
  thread.Enter(5, kMain).Enter(5, kParse).Leave(5).Enter(5, kParse).Enter(5, kRead).Leave(5);
  thread.Leave(5).Leave(5);
  Add(thread.Seal(true));
  Finish();
  EXPECT_THAT(Query("SELECT call_id, parent_call_id, depth FROM calls ORDER BY call_id"),
              ElementsAre("1 - 0", "2 1 1", "3 1 1", "4 3 2"));
}

TEST_F(RecordingLoaderTest, two_threads__then_their_calls_are_apart) {
  ThreadScript first(7);
  ThreadScript second(8);
  first.Enter(0, kMain).Leave(100);
  second.Enter(10, kParse).Leave(20);
  Add(first.Seal(true));
  Add(second.Seal(true));
  Finish();
  EXPECT_THAT(Calls(), ElementsAre("1 - main 0 0 100 100", "1 - parse 0 10 10 10"));
  EXPECT_THAT(Query("SELECT thread_id, tid FROM threads ORDER BY 1"),
              ElementsAre("7 107", "8 108"));
}

TEST_F(RecordingLoaderTest, function_not_listed__then_its_calls_are_not_lost_in_a_join) {
  ThreadScript thread(7);
  thread.Enter(0, 0xABC).Leave(1);
  Add(thread.Seal(true));
  Finish();
  EXPECT_THAT(Calls(), ElementsAre("1 - unknown function 0000000000000abc 0 0 1 1"));
}

TEST_F(RecordingLoaderTest, chunk_sent_twice__then_counts_once) {
  ThreadScript thread(7);
  thread.Enter(0, kMain).Leave(1);
  const chunk::CallChunk chunk = thread.Seal(true);
  Add(chunk);
  Add(chunk);
  Finish();
  EXPECT_THAT(Query("SELECT count(*)::BIGINT FROM calls"), ElementsAre("1"));
}

TEST_F(RecordingLoaderTest, chunk_missing__then_completeness_says_so) {
  ThreadScript thread(7);
  thread.Enter(0, kMain).Leave(1);
  Add(thread.Seal());
  thread.Enter(2, kMain).Leave(3);
  thread.Seal();
  thread.Enter(4, kMain).Leave(5);
  Add(thread.Seal(true));
  Finish();
  ASSERT_EQ(completeness_.notes_size(), 1);
  EXPECT_THAT(completeness_.notes(0), HasSubstr("1 chunks between others are missing"));
}

TEST_F(RecordingLoaderTest, chunks_of_threads_mixed__then_is_refused) {
  ThreadScript first(7);
  ThreadScript second(8);
  Add(first.Seal());
  Add(second.Seal());
  const absl::Status status = loader_->AddChunk(first.Seal());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("0000000000000007"));
}

TEST_F(RecordingLoaderTest, no_chunks__then_tables_are_empty) {
  Finish();
  EXPECT_THAT(Calls(), IsEmpty());
  EXPECT_THAT(Query("SELECT recording_id, state, end_ns FROM recordings"),
              ElementsAre("01ARZ3NDEKTSV4RRFFQ69G5FAV SEALED -"));
}

}  // namespace
}  // namespace flightrec::query_engine
