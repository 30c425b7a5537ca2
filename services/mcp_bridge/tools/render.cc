#include "services/mcp_bridge/tools/render.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "services/mcp_bridge/tools/answer.h"
#include "services/mcp_bridge/tools/text.h"

namespace flightrec::mcp_bridge {
namespace {

constexpr absl::string_view kNamePrefix = "recordings/";
constexpr size_t kMaxNoteBytes = 160;
constexpr size_t kMaxExampleBytes = 80;

void SetUnlessZero(Json& object, const char* key, uint64_t value) {
  if (value != 0) object[key] = value;
}

void SetUnlessEmpty(Json& object, const char* key, const std::string& value, size_t max_bytes) {
  if (!value.empty()) object[key] = CutUtf8(value, max_bytes);
}

std::string RenderTime(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ",
                          absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()),
                          absl::UTCTimeZone());
}

Json RenderRefusals(const trace::v1::Completeness& completeness) {
  Json list = Json::array();
  for (int i = 0; i < std::min(completeness.refusals_size(), kMaxRefusals); ++i) {
    const trace::v1::Refusal& refusal = completeness.refusals(i);
    Json item = {{"reason", CutUtf8(refusal.reason(), kMaxExampleBytes)},
                 {"functions", refusal.functions()}};
    if (refusal.examples_size() > 0) {
      item["example"] = CutUtf8(refusal.examples(0), kMaxExampleBytes);
    }
    list.push_back(item);
  }
  return list;
}

Json RenderLost(const trace::v1::Completeness& completeness) {
  Json list = Json::array();
  for (int i = 0; i < std::min(completeness.lost_by_function_size(), kMaxLostFunctions); ++i) {
    const trace::v1::LostCalls& lost = completeness.lost_by_function(i);
    list.push_back({{"function_id", HexId(lost.function_id())}, {"calls", lost.calls()}});
  }
  return list;
}

std::string RenderOutcome(const trace::v1::Process& process) {
  if (!process.has_outcome()) return "running";
  switch (process.outcome().kind_case()) {
    case trace::v1::Outcome::kExitCode:
      return absl::StrCat("exit code ", process.outcome().exit_code());
    case trace::v1::Outcome::kSignal:
      return absl::StrCat("signal ", process.outcome().signal());
    case trace::v1::Outcome::kReplacedByExec:
      return "replaced by exec";
    default:
      return "unknown";
  }
}

}  // namespace

Json RenderCompleteness(const trace::v1::Completeness& c) {
  uint64_t refused = 0;
  for (const trace::v1::Refusal& refusal : c.refusals()) refused += refusal.functions();
  Json result;
  result["complete"] = c.calls_lost() == 0 && c.threads_refused() == 0 && c.calls_too_deep() == 0 &&
                       c.children_not_traced() == 0 && c.calls_open() == 0 && !c.still_recording();
  result["calls_recorded"] = c.calls_recorded();
  SetUnlessZero(result, "functions_hooked", c.functions_hooked());
  SetUnlessZero(result, "calls_lost", c.calls_lost());
  if (c.lost_by_function_size() > 0) result["lost_by_function"] = RenderLost(c);
  SetUnlessZero(result, "threads_refused", c.threads_refused());
  SetUnlessEmpty(result, "thread_limit_message", c.thread_limit_message(), kMaxNoteBytes);
  SetUnlessZero(result, "calls_too_deep", c.calls_too_deep());
  SetUnlessZero(result, "calls_filtered", c.calls_filtered());
  SetUnlessZero(result, "functions_refused", refused);
  if (c.refusals_size() > 0) result["refusals"] = RenderRefusals(c);
  SetUnlessZero(result, "children_not_traced", c.children_not_traced());
  for (const trace::v1::UntracedChildren& kind : c.untraced_children())
    result["untraced_children"][kind.start()] = kind.processes();
  SetUnlessZero(result, "calls_open", c.calls_open());
  if (c.still_recording()) result["still_recording"] = true;
  for (int i = 0; i < std::min(c.notes_size(), kMaxNotes); ++i) {
    result["notes"].push_back(CutUtf8(c.notes(i), kMaxNoteBytes));
  }
  return result;
}

Json RenderRecording(const trace::v1::Recording& recording) {
  absl::string_view state = trace::v1::RecordingState_Name(recording.state());
  absl::ConsumePrefix(&state, "RECORDING_STATE_");
  Json result = {{"id", RecordingId(recording.name())}, {"state", absl::AsciiStrToLower(state)}};
  if (recording.has_start_time()) result["start_time"] = RenderTime(recording.start_time());
  if (recording.has_end_time()) result["end_time"] = RenderTime(recording.end_time());
  SetUnlessEmpty(result, "command", absl::StrJoin(recording.command(), " "), kMaxNameBytes);
  SetUnlessEmpty(result, "patterns", absl::StrJoin(recording.patterns(), " "), kMaxNameBytes);
  SetUnlessEmpty(result, "failure", recording.failure(), kMaxNameBytes);
  return result;
}

Json RenderProcess(const trace::v1::Process& process) {
  Json result = {{"process_id", HexId(process.process_id())}, {"pid", process.pid()}};
  SetUnlessEmpty(result, "executable", process.executable(), kMaxNameBytes);
  SetUnlessEmpty(result, "host", process.host(), kMaxExampleBytes);
  result["outcome"] = RenderOutcome(process);
  return result;
}

Json RenderFunction(const query::v1::FunctionStatistics& function) {
  const trace::v1::Function& f = function.function();
  const query::v1::CallStatistics& s = function.statistics();
  Json result = {{"name", CutUtf8(f.name(), kMaxNameBytes)},
                 {"function_id", HexId(f.function_id())}};
  SetUnlessEmpty(result, "module", f.module(), kMaxExampleBytes);
  if (!f.source_file().empty()) {
    result["source"] = CutUtf8(absl::StrCat(f.source_file(), ":", f.source_line()), kMaxNameBytes);
  }
  result["calls"] = s.calls();
  // A call that was counted but not timed has no part in the times below.
  if (s.calls_timed() != s.calls()) result["calls_timed"] = s.calls_timed();
  result["total_ns"] = s.total_ns();
  result["self_ns"] = s.self_ns();
  result["min_ns"] = s.min_ns();
  result["p50_ns"] = s.p50_ns();
  result["p99_ns"] = s.p99_ns();
  result["max_ns"] = s.max_ns();
  return result;
}

std::string RecordingId(const std::string& name) {
  return std::string(absl::StripPrefix(name, kNamePrefix));
}

std::string RecordingName(const std::string& id) {
  return absl::StrCat(kNamePrefix, absl::StripPrefix(id, kNamePrefix));
}

}  // namespace flightrec::mcp_bridge
