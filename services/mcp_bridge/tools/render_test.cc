#include "services/mcp_bridge/tools/render.h"

#include <gtest/gtest.h>

namespace flightrec::mcp_bridge {
namespace {

TEST(RenderCompleteness, nothing_missing__is_short) {
  trace::v1::Completeness completeness;
  completeness.set_calls_recorded(7);
  completeness.set_functions_hooked(3);
  EXPECT_EQ(RenderCompleteness(completeness).dump(),
            R"({"complete":true,"calls_recorded":7,"functions_hooked":3})");
}

TEST(RenderCompleteness, losses_and_refusals__are_told_and_bounded) {
  trace::v1::Completeness completeness;
  completeness.set_calls_lost(9);
  trace::v1::LostCalls* lost = completeness.add_lost_by_function();
  lost->set_function_id(1);
  lost->set_calls(9);
  for (int i = 0; i < 100; ++i) {
    trace::v1::Refusal* refusal = completeness.add_refusals();
    refusal->set_reason("too_short");
    refusal->set_functions(2);
    refusal->add_examples("f" + std::to_string(i));
    completeness.add_notes("note");
  }
  const Json json = RenderCompleteness(completeness);
  EXPECT_EQ(json["complete"], false);
  EXPECT_EQ(json["calls_lost"], 9);
  EXPECT_EQ(json["lost_by_function"].dump(), R"([{"function_id":"0000000000000001","calls":9}])");
  EXPECT_EQ(json["functions_refused"], 200);
  EXPECT_EQ(json["refusals"].size(), static_cast<size_t>(kMaxRefusals));
  EXPECT_EQ(json["refusals"][0].dump(), R"({"reason":"too_short","functions":2,"example":"f0"})");
  EXPECT_EQ(json["notes"].size(), static_cast<size_t>(kMaxNotes));
}

TEST(RenderCompleteness, only_functions_not_hooked__is_complete) {
  trace::v1::Completeness completeness;
  completeness.add_refusals()->set_functions(8);
  const Json json = RenderCompleteness(completeness);
  EXPECT_EQ(json["complete"], true);
  EXPECT_EQ(json["functions_refused"], 8);
}

TEST(RenderProcess, outcomes__are_words) {
  trace::v1::Process process;
  EXPECT_EQ(RenderProcess(process)["outcome"], "running");
  process.mutable_outcome()->set_exit_code(0);
  EXPECT_EQ(RenderProcess(process)["outcome"], "exit code 0");
  process.mutable_outcome()->set_signal(11);
  EXPECT_EQ(RenderProcess(process)["outcome"], "signal 11");
}

TEST(RecordingName, id_or_name__gives_the_name) {
  EXPECT_EQ(RecordingName("@latest"), "recordings/@latest");
  EXPECT_EQ(RecordingName("recordings/X"), "recordings/X");
  EXPECT_EQ(RecordingId("recordings/X"), "X");
}

}  // namespace
}  // namespace flightrec::mcp_bridge
