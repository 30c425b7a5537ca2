#include "services/mcp_bridge/tools/overview_tool.h"

#include <algorithm>
#include <utility>

#include "services/mcp_bridge/tools/answer.h"
#include "services/mcp_bridge/tools/render.h"
#include "services/mcp_bridge/tools/schema.h"

namespace flightrec::mcp_bridge {
namespace {

// Of processes; "processes_total" counts all.
constexpr int kMaxProcesses = 2;

absl::StatusOr<Json> Run(QueryEngine& engine, const Json& arguments, Cancellation& cancellation) {
  query::v1::OverviewRequest request;
  request.set_recording(RecordingName(arguments["recording"].get<std::string>()));
  request.set_top_functions(arguments["limit"].get<int>());
  auto response = engine.Overview(request, cancellation);
  if (!response.ok()) return response.status();
  Json processes = Json::array();
  for (int i = 0; i < std::min(response->processes_size(), kMaxProcesses); ++i) {
    processes.push_back(RenderProcess(response->processes(i)));
  }
  Json head = {{"recording", RenderRecording(response->recording())},
               {"calls", response->calls()},
               {"span_ns", response->span_ns()},
               {"threads", response->threads()},
               {"functions_called", response->functions_called()},
               {"paths", response->paths()},
               {"processes_total", response->processes_size()},
               {"processes", std::move(processes)}};
  ListPart part{.key = "top_functions",
                .items = {},
                .total = response->functions_called(),
                .how_to_see_more = "list_functions has every function and other orders"};
  for (const query::v1::FunctionStatistics& function : response->top_functions()) {
    part.items.push_back(RenderFunction(function));
  }
  return MakeListAnswer(std::move(head), std::move(part),
                        {{"completeness", RenderCompleteness(response->completeness())}},
                        arguments["max_tokens"].get<int>());
}

}  // namespace

Tool MakeOverviewTool(QueryEngine* engine) {
  return {
      .name = "overview",
      .title = "Overview of a recording",
      .description =
          "Start here: what a recording holds on one screen. How it ended, calls, threads, the "
          "functions with the most self time, and what is missing. total counts functions.",
      .input_schema = ArgumentsSchema(
          {{"recording", RecordingArgument()},
           {"limit", IntegerArgument("How many of the hottest functions.", 1, 100, 10)},
           {"max_tokens", MaxTokensArgument()}}),
      .output_schema = ListAnswerSchema("top_functions", FunctionProperties(),
                                        {{"recording", OpenObject()},
                                         {"calls", Count()},
                                         {"span_ns", Count()},
                                         {"threads", Count()},
                                         {"functions_called", Count()},
                                         {"paths", Count()},
                                         {"processes_total", Count()},
                                         {"processes", {{"type", "array"}}},
                                         {"completeness", OpenObject()}}),
      .run = [engine](const Json& arguments,
                      Cancellation& cancellation) { return Run(*engine, arguments, cancellation); },
      .next_step = nullptr};
}

}  // namespace flightrec::mcp_bridge
