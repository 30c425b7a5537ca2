#include "services/mcp_bridge/tools/functions_tool.h"

#include <utility>

#include "services/mcp_bridge/tools/answer.h"
#include "services/mcp_bridge/tools/render.h"
#include "services/mcp_bridge/tools/schema.h"

namespace flightrec::mcp_bridge {
namespace {

constexpr int kMaxListed = 1000;

query::v1::FunctionOrder OrderOf(const std::string& text) {
  if (text == "total") return query::v1::FUNCTION_ORDER_TOTAL;
  if (text == "calls") return query::v1::FUNCTION_ORDER_CALLS;
  if (text == "p99") return query::v1::FUNCTION_ORDER_P99;
  if (text == "max") return query::v1::FUNCTION_ORDER_MAX;
  return query::v1::FUNCTION_ORDER_SELF;
}

absl::StatusOr<Json> Run(QueryEngine& engine, const Json& arguments, Cancellation& cancellation) {
  query::v1::ListFunctionsRequest request;
  request.set_recording(RecordingName(arguments["recording"].get<std::string>()));
  request.set_order_by(OrderOf(arguments["order_by"].get<std::string>()));
  request.set_name_contains(arguments.value("name_contains", ""));
  request.set_page_size(arguments["limit"].get<int>());
  auto response = engine.ListFunctions(request, cancellation);
  if (!response.ok()) return response.status();
  ListPart part{.key = "functions",
                .items = {},
                .total = response->total_size(),
                .how_to_see_more = "raise limit or max_tokens, or narrow with name_contains"};
  for (const query::v1::FunctionStatistics& function : response->functions()) {
    part.items.push_back(RenderFunction(function));
  }
  return MakeListAnswer({{"recording", arguments["recording"]}}, std::move(part),
                        {{"completeness", RenderCompleteness(response->completeness())}},
                        arguments["max_tokens"].get<int>());
}

}  // namespace

Tool MakeFunctionsTool(QueryEngine* engine) {
  return {
      .name = "list_functions",
      .title = "Functions by time",
      .description =
          "Functions of a recording with calls, total and self time, min, p50, p99 and max in ns. "
          "calls is exact; times are of timed calls.",
      .input_schema = ArgumentsSchema(
          {{"recording", RecordingArgument()},
           {"order_by", ChoiceArgument("What comes first, largest first.",
                                       {"self", "total", "calls", "p99", "max"})},
           {"name_contains", TextArgument("Only functions whose name holds this text.", 200)},
           {"limit", IntegerArgument("At most this many.", 1, kMaxListed, 20)},
           {"max_tokens", MaxTokensArgument()}}),
      .output_schema = ListAnswerSchema("functions", FunctionProperties(),
                                        {{"recording", Text()}, {"completeness", OpenObject()}}),
      .run = [engine](const Json& arguments,
                      Cancellation& cancellation) { return Run(*engine, arguments, cancellation); },
      .next_step = nullptr};
}

}  // namespace flightrec::mcp_bridge
