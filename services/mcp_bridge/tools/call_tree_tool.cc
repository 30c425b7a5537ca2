#include "services/mcp_bridge/tools/call_tree_tool.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "absl/strings/match.h"
#include "common/rpc/status.h"
#include "services/mcp_bridge/tools/answer.h"
#include "services/mcp_bridge/tools/render.h"
#include "services/mcp_bridge/tools/schema.h"
#include "services/mcp_bridge/tools/text.h"

namespace flightrec::mcp_bridge {
namespace {

using Nodes = google::protobuf::RepeatedPtrField<query::v1::CallTreeNode>;

constexpr int kMaxNodes = 1000;
constexpr int kMaxDepth = 1000;

Json RenderNode(const query::v1::CallTreeNode& node) {
  return {{"depth", node.depth()},     {"name", CutUtf8(node.function_name(), kMaxNameBytes)},
          {"calls", node.calls()},     {"total_ns", node.total_ns()},
          {"self_ns", node.self_ns()}, {"path_id", HexId(node.path_id())}};
}

// The nodes with the most time that fit: a parent has at least the time of its
// child, so the rest is still a tree. `order` decides how they are shown.
std::vector<Json> LargestThatFit(const Nodes& nodes, const std::vector<int>& order,
                                 size_t max_bytes) {
  std::vector<int> by_time = order;
  std::stable_sort(by_time.begin(), by_time.end(),
                   [&nodes](int a, int b) { return nodes[a].total_ns() > nodes[b].total_ns(); });
  std::vector<Json> rendered(static_cast<size_t>(nodes.size()));
  size_t used = 0;
  for (int index : by_time) {
    Json node = RenderNode(nodes[index]);
    used += DumpJson(node).size() + 1;
    if (used > max_bytes) break;
    rendered[static_cast<size_t>(index)] = std::move(node);
  }
  std::vector<Json> shown;
  for (int index : order) {
    Json& node = rendered[static_cast<size_t>(index)];
    if (!node.is_null()) shown.push_back(std::move(node));
  }
  return shown;
}

absl::StatusOr<query::v1::CallTreeRequest> MakeRequest(const Json& arguments) {
  query::v1::CallTreeRequest request;
  request.set_recording(RecordingName(arguments["recording"].get<std::string>()));
  request.set_function(arguments.value("function", ""));
  request.set_direction(arguments["direction"] == "callers" ? query::v1::TREE_DIRECTION_CALLERS
                                                            : query::v1::TREE_DIRECTION_CALLEES);
  if (arguments["direction"] == "callers" && request.function().empty()) {
    return rpc::InvalidField("function",
                             "is required for direction=callers; list_functions names them");
  }
  request.set_max_depth(arguments["max_depth"].get<int>());
  request.set_min_share(arguments["min_share"].get<double>());
  request.set_max_nodes(arguments["limit"].get<int>());
  return request;
}

absl::StatusOr<Json> Run(QueryEngine& engine, const Json& arguments, Cancellation& cancellation) {
  auto request = MakeRequest(arguments);
  if (!request.ok()) return request.status();
  auto response = engine.CallTree(*request, cancellation);
  if (!response.ok()) return response.status();
  Json head = {{"recording", arguments["recording"]}};
  Json tail = {{"completeness", RenderCompleteness(response->completeness())}};
  ListPart part{.key = "nodes",
                .items = {},
                .total = response->total_nodes(),
                .how_to_see_more = "raise limit, max_depth or max_tokens, or lower min_share"};
  const int max_tokens = arguments["max_tokens"].get<int>();
  // What is left beside the frame of an answer without nodes.
  const size_t budget = static_cast<size_t>(max_tokens) * kBytesPerToken;
  const size_t frame = DumpJson(MakeListAnswer(head, part, tail, max_tokens)).size() + 64;
  part.items = LargestThatFit(response->nodes(), DepthFirst(response->nodes()),
                              budget - std::min(budget, frame));
  return MakeListAnswer(std::move(head), std::move(part), std::move(tail), max_tokens);
}

std::string NextStep(const Json& arguments, const absl::Status& error) {
  const std::string function = arguments.value("function", "");
  if (!absl::IsNotFound(error) || function.empty() ||
      !absl::StrContains(error.message(), function)) {
    return "";
  }
  return "call list_functions with name_contains to find the name";
}

}  // namespace

std::vector<int> DepthFirst(const Nodes& nodes) {
  std::unordered_map<uint64_t, std::vector<int>> children;
  std::unordered_map<uint64_t, int> known;
  for (int i = 0; i < nodes.size(); ++i) known.emplace(nodes[i].path_id(), i);
  std::vector<int> stack;
  for (int i = 0; i < nodes.size(); ++i) {
    const uint64_t parent = nodes[i].parent_path_id();
    const bool is_root = parent == nodes[i].path_id() || known.find(parent) == known.end();
    (is_root ? stack : children[parent]).push_back(i);
  }
  const auto by_time = [&nodes](int a, int b) { return nodes[a].total_ns() < nodes[b].total_ns(); };
  // The largest is taken from the end of the stack first.
  std::stable_sort(stack.begin(), stack.end(), by_time);
  std::vector<int> order;
  while (!stack.empty()) {
    const int index = stack.back();
    stack.pop_back();
    order.push_back(index);
    const auto below = children.find(nodes[index].path_id());
    if (below == children.end()) continue;
    std::stable_sort(below->second.begin(), below->second.end(), by_time);
    stack.insert(stack.end(), below->second.begin(), below->second.end());
    // A path that came twice must not be walked twice.
    children.erase(below);
  }
  return order;
}

Tool MakeCallTreeTool(QueryEngine* engine) {
  return {
      .name = "call_tree",
      .title = "Call tree",
      .description =
          "Where time goes by calling context: who calls what, how often, how long (ns). "
          "direction=callees grows from the roots down, direction=callers from a function up to "
          "those that called it. Nodes come depth first, largest sibling first.",
      .input_schema = ArgumentsSchema(
          {{"recording", RecordingArgument()},
           {"direction", ChoiceArgument("Which way the tree grows.", {"callees", "callers"})},
           {"function",
            TextArgument("A function's name or function_id; needed for callers.", 1000)},
           {"max_depth", IntegerArgument("Deeper nodes are left out.", 1, kMaxDepth, 64)},
           {"min_share",
            {{"type", "number"},
             {"description", "Nodes with less than this share of all time are left out."},
             {"minimum", 0},
             {"maximum", 1},
             {"default", 0.005}}},
           {"limit", IntegerArgument("At most this many nodes, those with the most time.", 1,
                                     kMaxNodes, 50)},
           {"max_tokens", MaxTokensArgument()}}),
      .output_schema = ListAnswerSchema("nodes",
                                        {{"depth", Count()},
                                         {"name", Text()},
                                         {"calls", Count()},
                                         {"total_ns", Count()},
                                         {"self_ns", Count()},
                                         {"path_id", Text()}},
                                        {{"recording", Text()}, {"completeness", OpenObject()}}),
      .run = [engine](const Json& arguments,
                      Cancellation& cancellation) { return Run(*engine, arguments, cancellation); },
      .next_step = NextStep};
}

}  // namespace flightrec::mcp_bridge
