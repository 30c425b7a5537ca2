#include "services/mcp_bridge/tools/sql_tool.h"

#include <cmath>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/mcp_bridge/tools/answer.h"
#include "services/mcp_bridge/tools/render.h"
#include "services/mcp_bridge/tools/schema.h"
#include "services/mcp_bridge/tools/text.h"

namespace flightrec::mcp_bridge {
namespace {

constexpr int kMaxRows = 1000;
constexpr size_t kMaxStatementBytes = 20000;
constexpr size_t kMaxCellBytes = 500;
// JSON numbers beyond this lose digits in many clients.
constexpr uint64_t kMaxExactNumber = (uint64_t{1} << 53) - 1;

constexpr char kTables[] =
    "calls(recording_id, process_id, thread_id, call_id, parent_call_id, function_id, path_id, "
    "start_ns, duration_ns, self_ns, depth, outermost), functions(function_id, name, symbol, "
    "module, "
    "build_id, "
    "source_file, source_line), paths(path_id, parent_path_id, function_id, depth), "
    "threads(thread_id, process_id, tid, ordinal, name), processes(process_id, pid, executable, "
    "command, host, start_ns, exit_code, signal), recordings(recording_id, state, start_ns, "
    "end_ns, "
    "command), lost_calls(thread_id, function_id, calls, filtered)";

Json RenderInt(int64_t value) {
  const uint64_t size = value < 0 ? -static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  return size <= kMaxExactNumber ? Json(value) : Json(absl::StrCat(value));
}

Json RenderDouble(double value) {
  return std::isfinite(value) ? Json(value) : Json(absl::StrCat(value));
}

Json RenderValue(const query::v1::SqlValue& value) {
  switch (value.kind_case()) {
    case query::v1::SqlValue::kIntValue:
      return RenderInt(value.int_value());
    case query::v1::SqlValue::kUintValue:
      return value.uint_value() <= kMaxExactNumber ? Json(value.uint_value())
                                                   : Json(absl::StrCat(value.uint_value()));
    case query::v1::SqlValue::kDoubleValue:
      return RenderDouble(value.double_value());
    case query::v1::SqlValue::kTextValue:
      return CutUtf8(value.text_value(), kMaxCellBytes);
    case query::v1::SqlValue::kBoolValue:
      return value.bool_value();
    case query::v1::SqlValue::kBytesValue:
      return CutUtf8(absl::BytesToHexString(value.bytes_value()), kMaxCellBytes);
    case query::v1::SqlValue::KIND_NOT_SET:
      return nullptr;
  }
  return nullptr;
}

Json RenderColumns(const SqlAnswer& answer) {
  Json columns = Json::array();
  for (const query::v1::SqlColumn& column : answer.columns) {
    columns.push_back(absl::StrCat(CutUtf8(column.name(), kMaxNameBytes), " ",
                                   CutUtf8(column.type(), kMaxNameBytes)));
  }
  return columns;
}

absl::StatusOr<Json> Run(QueryEngine& engine, const Json& arguments, Cancellation& cancellation) {
  query::v1::SqlRequest request;
  request.set_recording(RecordingName(arguments["recording"].get<std::string>()));
  request.set_statement(arguments["statement"].get<std::string>());
  request.set_max_rows(arguments["max_rows"].get<int64_t>());
  absl::StatusOr<SqlAnswer> answer = engine.Sql(request, cancellation);
  if (!answer.ok()) return answer.status();
  Json columns = RenderColumns(*answer);
  if (EstimateTokens(DumpJson(columns)) > arguments["max_tokens"].get<size_t>() / 2) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the answer has ", answer->columns.size(),
                     " columns, whose names alone take half of max_tokens=",
                     arguments["max_tokens"].get<int>()));
  }
  ListPart part{.key = "rows",
                .items = {},
                .total = answer->rows.size(),
                .more = answer->end.truncated(),
                .how_to_see_more = "aggregate, add WHERE, or raise max_rows or max_tokens"};
  for (const query::v1::SqlRow& row : answer->rows) {
    Json cells = Json::array();
    for (const query::v1::SqlValue& value : row.values()) cells.push_back(RenderValue(value));
    part.items.push_back(std::move(cells));
  }
  return MakeListAnswer({{"recording", arguments["recording"]}, {"columns", std::move(columns)}},
                        std::move(part),
                        {{"completeness", RenderCompleteness(answer->end.completeness())}},
                        arguments["max_tokens"].get<int>());
}

std::string NextStep(const Json& /*arguments*/, const absl::Status& error) {
  if (absl::IsInvalidArgument(error)) {
    return absl::StrCat("correct the statement; the tables are ", kTables);
  }
  if (absl::IsDeadlineExceeded(error) || absl::IsResourceExhausted(error)) {
    return "ask for less: aggregate, add WHERE or LIMIT";
  }
  return "";
}

Json OutputSchema() {
  Json schema = ListAnswerSchema("rows", Json::object(),
                                 {{"recording", Text()},
                                  {"columns", {{"type", "array"}, {"items", Text()}}},
                                  {"completeness", OpenObject()}});
  schema["properties"]["rows"] = {{"type", "array"}, {"items", {{"type", "array"}}}};
  return schema;
}

}  // namespace

Tool MakeSqlTool(QueryEngine* engine) {
  return {
      .name = "sql",
      .title = "SQL over a recording",
      .description = absl::StrCat(
          "One read-only SELECT (DuckDB dialect) for questions the other tools do not answer. "
          "Tables: ",
          kTables, ". Join by the ids. Integers beyond 2^53 come as strings; texts longer than ",
          kMaxCellBytes, " bytes are cut."),
      .input_schema = ArgumentsSchema(
          {{"recording", RecordingArgument()},
           {"statement", TextArgument("One SELECT statement.", kMaxStatementBytes)},
           {"max_rows", IntegerArgument("At most this many rows.", 1, kMaxRows, 100)},
           {"max_tokens", MaxTokensArgument()}},
          {"statement"}),
      .output_schema = OutputSchema(),
      .run = [engine](const Json& arguments,
                      Cancellation& cancellation) { return Run(*engine, arguments, cancellation); },
      .next_step = NextStep};
}

}  // namespace flightrec::mcp_bridge
