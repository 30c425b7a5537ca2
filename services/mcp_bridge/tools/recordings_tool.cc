#include "services/mcp_bridge/tools/recordings_tool.h"

#include <utility>
#include <vector>

#include "services/mcp_bridge/tools/answer.h"
#include "services/mcp_bridge/tools/render.h"
#include "services/mcp_bridge/tools/schema.h"

namespace flightrec::mcp_bridge {
namespace {

constexpr int kMaxListed = 1000;

absl::StatusOr<Json> Run(QueryEngine& engine, const Json& arguments, Cancellation& cancellation) {
  query::v1::ListRecordingsRequest request;
  request.set_page_size(kMaxListed);
  auto response = engine.ListRecordings(request, cancellation);
  if (!response.ok()) return response.status();
  const size_t limit = arguments["limit"].get<size_t>();
  ListPart part{.key = "recordings",
                .items = {},
                .total = static_cast<uint64_t>(response->recordings_size()),
                .more = !response->next_page_token().empty(),
                .how_to_see_more = "raise limit or max_tokens"};
  for (const trace::v1::Recording& recording : response->recordings()) {
    if (part.items.size() == limit) break;
    Json item = RenderRecording(recording);
    item["completeness"] = {{"complete", RenderCompleteness(recording.completeness())["complete"]},
                            {"calls_recorded", recording.completeness().calls_recorded()},
                            {"calls_lost", recording.completeness().calls_lost()}};
    part.items.push_back(std::move(item));
  }
  return MakeListAnswer(Json::object(), std::move(part), Json::object(),
                        arguments["max_tokens"].get<int>());
}

}  // namespace

std::vector<std::string> RecentRecordings(QueryEngine& engine, int limit,
                                          Cancellation& cancellation) {
  query::v1::ListRecordingsRequest request;
  request.set_page_size(limit);
  auto response = engine.ListRecordings(request, cancellation);
  std::vector<std::string> ids;
  if (!response.ok()) return ids;
  for (const trace::v1::Recording& recording : response->recordings()) {
    ids.push_back(RecordingId(recording.name()));
  }
  return ids;
}

Tool MakeRecordingsTool(QueryEngine* engine) {
  return {
      .name = "list_recordings",
      .title = "List recordings",
      .description =
          "Recordings of programs, newest first: id, state, command, times, completeness. Use an "
          "id, or @latest, as the recording of the other tools.",
      .input_schema =
          ArgumentsSchema({{"limit", IntegerArgument("At most this many.", 1, kMaxListed, 20)},
                           {"max_tokens", MaxTokensArgument()}}),
      .output_schema = ListAnswerSchema("recordings",
                                        {{"id", Text()},
                                         {"state", Text()},
                                         {"start_time", Text()},
                                         {"end_time", Text()},
                                         {"command", Text()},
                                         {"patterns", Text()},
                                         {"failure", Text()},
                                         {"completeness", OpenObject()}},
                                        Json::object()),
      .run = [engine](const Json& arguments,
                      Cancellation& cancellation) { return Run(*engine, arguments, cancellation); },
      .next_step = nullptr};
}

}  // namespace flightrec::mcp_bridge
