#include "services/mcp_bridge/tools/catalog.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/mcp_bridge/tools/answer.h"
#include "services/mcp_bridge/tools/arguments.h"
#include "services/mcp_bridge/tools/call_tree_tool.h"
#include "services/mcp_bridge/tools/functions_tool.h"
#include "services/mcp_bridge/tools/nearest.h"
#include "services/mcp_bridge/tools/overview_tool.h"
#include "services/mcp_bridge/tools/recordings_tool.h"
#include "services/mcp_bridge/tools/render.h"
#include "services/mcp_bridge/tools/sql_tool.h"
#include "services/mcp_bridge/tools/text.h"
#include "services/mcp_bridge/tools/tool_error.h"

namespace flightrec::mcp_bridge {
namespace {

// Candidates for "did you mean".
constexpr int kRecordingsCompared = 200;

std::vector<Tool> MakeTools(QueryEngine* engine) {
  return {MakeRecordingsTool(engine), MakeOverviewTool(engine), MakeFunctionsTool(engine),
          MakeCallTreeTool(engine), MakeSqlTool(engine)};
}

Json TextContent(const std::string& text) {
  return Json::array({{{"type", "text"}, {"text", text}}});
}

}  // namespace

Catalog::Catalog(QueryEngine* engine, log::Logger* logger, metrics::Registry* registry)
    : engine_(engine), logger_(logger) {
  const auto calls = [registry](const std::string& tool, const std::string& outcome) {
    return &registry->AddCounter("flightrec_mcp_tool_calls_total", "Tool calls by outcome.",
                                 {{"tool", tool}, {"outcome", outcome}});
  };
  for (Tool& tool : MakeTools(engine)) {
    metrics::Counter* succeeded = calls(tool.name, "ok");
    metrics::Counter* failed = calls(tool.name, "error");
    metrics::Counter* tokens = &registry->AddCounter(
        "flightrec_mcp_answer_tokens_total", "Estimated tokens of answers.", {{"tool", tool.name}});
    entries_.push_back({std::move(tool), succeeded, failed, tokens});
  }
}

Json Catalog::List() const {
  Json list = Json::array();
  for (const Entry& entry : entries_) {
    const Tool& tool = entry.tool;
    list.push_back(
        {{"name", tool.name},
         {"title", tool.title},
         {"description", tool.description},
         {"inputSchema", tool.input_schema},
         {"outputSchema", tool.output_schema},
         {"annotations",
          {{"readOnlyHint", true}, {"idempotentHint", true}, {"openWorldHint", false}}}});
  }
  return list;
}

absl::StatusOr<Json> Catalog::Call(const std::string& name, const Json& arguments,
                                   Cancellation& cancellation) const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) {
    names.push_back(entry.tool.name);
    if (entry.tool.name != name) continue;
    absl::StatusOr<Json> complete = CheckArguments(entry.tool.input_schema, arguments);
    absl::StatusOr<Json> answer =
        complete.ok() ? Run(entry.tool, *complete, cancellation) : complete.status();
    if (!answer.ok()) {
      entry.failed->Add();
      logger_->Info("tool_failed", {{"tool", name}, {"error", answer.status()}});
      const std::string next_step = complete.ok() && entry.tool.next_step != nullptr
                                        ? entry.tool.next_step(*complete, answer.status())
                                        : "";
      return ErrorResult(arguments, answer.status(), next_step, cancellation);
    }
    const std::string text = DumpJson(*answer);
    entry.succeeded->Add();
    entry.tokens->Add(EstimateTokens(text));
    return Json{{"content", TextContent(text)}, {"structuredContent", *std::move(answer)}};
  }
  return absl::NotFoundError(absl::StrCat("no tool '", CutUtf8(name, kMaxNameBytes),
                                          "'; nearest: ", NearestNames(name, names)));
}

absl::StatusOr<Json> Catalog::Run(const Tool& tool, const Json& arguments,
                                  Cancellation& cancellation) const {
  absl::StatusOr<Json> answer = tool.run(arguments, cancellation);
  if (!answer.ok()) return answer.status();
  // Lists are cut to fit; this is for what surrounds them.
  const size_t max_tokens = arguments["max_tokens"].get<size_t>();
  const size_t tokens = EstimateTokens(DumpJson(*answer));
  if (tokens > max_tokens) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the answer takes ", tokens, " tokens even without its list, max_tokens=", max_tokens));
  }
  return answer;
}

Json Catalog::ErrorResult(const Json& arguments, const absl::Status& error,
                          const std::string& next_step, Cancellation& cancellation) const {
  std::string text = DescribeError(error, next_step);
  const Json recording = arguments.value("recording", Json("@latest"));
  // What was not found may be a function; then a next step has said so. The
  // engine may have named the nearest itself.
  if (absl::IsNotFound(error) && next_step.empty() && recording.is_string() &&
      !absl::StrContains(error.message(), "nearest")) {
    const std::string id = RecordingId(recording.get<std::string>());
    const std::string nearest =
        NearestNames(id, RecentRecordings(*engine_, kRecordingsCompared, cancellation));
    absl::StrAppend(&text, "\nnearest recordings: ", nearest.empty() ? "none exist" : nearest);
  }
  return {{"content", TextContent(text)}, {"isError", true}};
}

}  // namespace flightrec::mcp_bridge
