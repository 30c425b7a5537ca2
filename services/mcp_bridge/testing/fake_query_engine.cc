#include "services/mcp_bridge/testing/fake_query_engine.h"

#include <mutex>

namespace flightrec::mcp_bridge {

absl::StatusOr<query::v1::OverviewResponse> FakeQueryEngine::Overview(
    const query::v1::OverviewRequest& /*request*/, Cancellation& cancellation) {
  if (!block) return overview;
  absl::Notification stopped;
  Cancellation::Scope scope(&cancellation, [&stopped] { stopped.Notify(); });
  std::call_once(blocked_once_, [this] { blocked.Notify(); });
  stopped.WaitForNotification();
  return absl::CancelledError("stopped");
}

void FakeQueryEngine::AddRecording(const std::string& id) {
  trace::v1::Recording* recording = recordings.add_recordings();
  recording->set_name("recordings/" + id);
  recording->set_state(trace::v1::RECORDING_STATE_SEALED);
  recording->mutable_start_time()->set_seconds(1767323045);
  recording->add_command("sample");
  recording->mutable_completeness()->set_calls_recorded(7);
}

void FakeQueryEngine::AddFunction(const std::string& name, uint64_t calls) {
  query::v1::FunctionStatistics* entry = functions.add_functions();
  entry->mutable_function()->set_name(name);
  entry->mutable_function()->set_function_id(0xabc0 +
                                             static_cast<uint64_t>(functions.functions_size()));
  entry->mutable_function()->set_module("sample");
  query::v1::CallStatistics* s = entry->mutable_statistics();
  s->set_calls(calls);
  s->set_calls_timed(calls);
  s->set_total_ns(calls * 10);
  s->set_self_ns(calls * 10);
  s->set_min_ns(10);
  s->set_p50_ns(10);
  s->set_p99_ns(10);
  s->set_max_ns(10);
  functions.set_total_size(static_cast<uint64_t>(functions.functions_size()));
}

void FakeQueryEngine::AddNode(uint64_t path, uint64_t parent, int depth, const std::string& name,
                              uint64_t total_ns) {
  query::v1::CallTreeNode* node = tree->add_nodes();
  node->set_path_id(path);
  node->set_parent_path_id(parent);
  node->set_depth(depth);
  node->set_function_name(name);
  node->set_calls(1);
  node->set_total_ns(total_ns);
  node->set_self_ns(total_ns / 2);
  tree->set_total_nodes(static_cast<uint64_t>(tree->nodes_size()));
}

}  // namespace flightrec::mcp_bridge
