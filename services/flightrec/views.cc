#include "services/flightrec/views.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"

namespace flightrec::cli {
namespace {

constexpr absl::Duration kViewDeadline = absl::Minutes(10);
constexpr int kDefaultRows = 40;
constexpr int kMaxPage = 1000;
// Longer than a tracer keeps what it has; see kReceivedTimeStep of the backend.
constexpr absl::Duration kSilence = absl::Minutes(1);

Nanoseconds Ns(uint64_t value) { return Nanoseconds{value}; }

// The last part of a resource name.
std::string Id(const std::string& name) { return name.substr(name.rfind('/') + 1); }

absl::Time TimeOf(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

// For people: that nothing has come of a recording in progress for a while.
std::string StateOf(const trace::v1::Recording& recording, bool for_people) {
  std::string word = StateWord(recording.state());
  if (!for_people || recording.state() >= trace::v1::RECORDING_STATE_SEALED ||
      !recording.has_last_received_time()) {
    return word;
  }
  const absl::Duration silent = absl::Now() - TimeOf(recording.last_received_time());
  if (silent < kSilence) return word;
  return absl::StrCat(word, ", silent for ", absl::FormatDuration(absl::Trunc(silent, kSilence)));
}

std::string UtcTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", TimeOf(timestamp), absl::UTCTimeZone());
}

std::string OutcomeWords(const trace::v1::Process& process) {
  if (!process.has_outcome()) return "still running";
  const trace::v1::Outcome& outcome = process.outcome();
  if (outcome.has_signal()) return absl::StrCat("ended by signal ", outcome.signal());
  if (outcome.has_exit_code()) return absl::StrCat("exit code ", outcome.exit_code());
  return "replaced by another program";
}

std::string OverviewHeading(const query::v1::OverviewResponse& overview) {
  std::string text = absl::StrCat("recording ", Id(overview.recording().name()), "  ",
                                  StateOf(overview.recording(), true), "  ",
                                  absl::StrJoin(overview.recording().command(), " "), "\n");
  for (const trace::v1::Process& process : overview.processes()) {
    absl::StrAppend(&text, "process ", process.pid(), "  ", process.executable(), "  ",
                    OutcomeWords(process), "\n");
  }
  absl::StrAppend(&text, GroupDigits(overview.calls()), " calls of ",
                  GroupDigits(overview.functions_called()), " functions on ", overview.threads(),
                  overview.threads() == 1 ? " thread" : " threads", " in ",
                  HumanTime(overview.span_ns()), "\n\n");
  return text;
}

// For people without the folders, which the answers for programs have.
std::string SourceLine(const trace::v1::Function& function, bool for_people) {
  if (function.source_file().empty()) return "";
  const std::string& file = function.source_file();
  return absl::StrCat(for_people ? file.substr(file.rfind('/') + 1) : file, ":",
                      function.source_line());
}

// "3 children not traced: fork 1, posix_spawn 2"
std::string DescribeChildren(const trace::v1::Completeness& completeness) {
  const uint64_t children = completeness.children_not_traced();
  std::string text =
      absl::StrCat(GroupDigits(children), children == 1 ? " child" : " children", " not traced");
  const char* before = ": ";
  for (const trace::v1::UntracedChildren& kind : completeness.untraced_children()) {
    absl::StrAppend(&text, before, kind.start(), " ", GroupDigits(kind.processes()));
    before = ", ";
  }
  return text;
}

Cell ToCell(const query::v1::SqlValue& value) {
  switch (value.kind_case()) {
    case query::v1::SqlValue::kIntValue:
      return static_cast<int64_t>(value.int_value());
    case query::v1::SqlValue::kUintValue:
      return static_cast<uint64_t>(value.uint_value());
    case query::v1::SqlValue::kDoubleValue:
      return value.double_value();
    case query::v1::SqlValue::kTextValue:
      return value.text_value();
    case query::v1::SqlValue::kBoolValue:
      return value.bool_value();
    case query::v1::SqlValue::kBytesValue:
      return absl::BytesToHexString(value.bytes_value());
    case query::v1::SqlValue::KIND_NOT_SET:
      break;
  }
  return std::monostate();
}

}  // namespace

std::string StateWord(trace::v1::RecordingState state) {
  std::string word = trace::v1::RecordingState_Name(state);
  return absl::StartsWith(word, "RECORDING_STATE_") ? word.substr(16) : word;
}

std::string RecordingName(const std::string& recording) {
  return absl::StartsWith(recording, "recordings/") ? recording
                                                    : absl::StrCat("recordings/", recording);
}

std::string DescribeCompleteness(const trace::v1::Completeness& completeness) {
  std::vector<std::string> sentences;
  if (completeness.still_recording()) sentences.push_back("still recording: more calls will come");
  if (completeness.calls_lost() > 0) {
    sentences.push_back(
        absl::StrCat(GroupDigits(completeness.calls_lost()),
                     " calls were counted but have no times: a lane or the spool was full; wider "
                     "lanes lose fewer (--lane_bytes=16777216)"));
  }
  if (completeness.calls_open() > 0) {
    sentences.push_back(
        absl::StrCat(GroupDigits(completeness.calls_open()), " calls were still open at the end"));
  }
  if (completeness.threads_refused() > 0) sentences.push_back(completeness.thread_limit_message());
  if (completeness.calls_too_deep() > 0) {
    sentences.push_back(absl::StrCat(
        GroupDigits(completeness.calls_too_deep()),
        " calls were nested deeper than the depth limit and passed through unrecorded"));
  }
  if (completeness.calls_filtered() > 0) {
    sentences.push_back(absl::StrCat(GroupDigits(completeness.calls_filtered()),
                                     " calls were filtered out and counted"));
  }
  if (completeness.children_not_traced() > 0) {
    sentences.push_back(DescribeChildren(completeness));
  }
  if (completeness.refusals_size() > 0) {
    sentences.push_back(
        absl::StrCat("functions not hooked: ",
                     absl::StrJoin(completeness.refusals(), ", ",
                                   [](std::string* text, const trace::v1::Refusal& refusal) {
                                     absl::StrAppend(text, GroupDigits(refusal.functions()), " ",
                                                     refusal.reason());
                                   })));
  }
  sentences.insert(sentences.end(), completeness.notes().begin(), completeness.notes().end());
  return absl::StrJoin(sentences, "\n");
}

absl::StatusOr<View> Report(QueryStub& query, const CommandLine& line) {
  grpc::ClientContext overview_context;
  rpc::SetDeadline(overview_context, kViewDeadline);
  query::v1::OverviewRequest overview_request;
  overview_request.set_recording(RecordingName(line.recording));
  query::v1::OverviewResponse overview;
  grpc::Status asked = query.Overview(&overview_context, overview_request, &overview);
  if (!asked.ok()) return rpc::FromGrpcStatus(asked);

  View view;
  // Names last: they are as long as they like.
  view.table.columns = {{"calls"},  {"timed"},  {"total_ns"}, {"self_ns"}, {"min_ns"},
                        {"p50_ns"}, {"p99_ns"}, {"max_ns"},   {"source"},  {"function"}};
  query::v1::ListFunctionsRequest request;
  // @latest may have moved on since.
  request.set_recording(overview.recording().name());
  const bool for_people = line.output == OutputFormat::kTable;
  const int limit = line.limit > 0 ? line.limit : for_people ? kDefaultRows : kMaxPage * 100;
  query::v1::ListFunctionsResponse page;
  do {
    request.set_page_size(
        std::min<int>(kMaxPage, limit - static_cast<int>(view.table.rows.size())));
    request.set_page_token(page.next_page_token());
    grpc::ClientContext context;
    rpc::SetDeadline(context, kViewDeadline);
    asked = query.ListFunctions(&context, request, &page);
    if (!asked.ok()) return rpc::FromGrpcStatus(asked);
    for (const query::v1::FunctionStatistics& function : page.functions()) {
      const query::v1::CallStatistics& s = function.statistics();
      view.table.rows.push_back(
          {static_cast<uint64_t>(s.calls()), static_cast<uint64_t>(s.calls_timed()),
           Ns(s.total_ns()), Ns(s.self_ns()), Ns(s.min_ns()), Ns(s.p50_ns()), Ns(s.p99_ns()),
           Ns(s.max_ns()), SourceLine(function.function(), for_people),
           for_people ? BriefName(function.function().name()) : function.function().name()});
    }
  } while (!page.next_page_token().empty() && static_cast<int>(view.table.rows.size()) < limit);
  view.heading = OverviewHeading(overview);
  view.footnote = DescribeCompleteness(overview.completeness());
  if (!page.next_page_token().empty()) {
    view.footnote =
        absl::StrCat(GroupDigits(page.total_size() - view.table.rows.size()),
                     " more functions: --limit=", page.total_size(), "\n", view.footnote);
  }
  return view;
}

absl::StatusOr<View> Tree(QueryStub& query, const CommandLine& line) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kViewDeadline);
  query::v1::CallTreeRequest request;
  request.set_recording(RecordingName(line.recording));
  if (line.limit > 0) {
    request.set_max_nodes(line.limit);
    // No tree of so many nodes is deeper.
    request.set_max_depth(line.limit);
  }
  query::v1::CallTreeResponse tree;
  grpc::Status asked = query.CallTree(&context, request, &tree);
  if (!asked.ok()) return rpc::FromGrpcStatus(asked);

  View view;
  const bool for_people = line.output == OutputFormat::kTable;
  view.table.columns = {{"total_ns"}, {"self_ns"}, {"calls"}, {"function"}};
  if (!for_people)
    view.table.columns.insert(view.table.columns.end(),
                              {{"depth"}, {"path_id"}, {"parent_path_id"}});
  for (const query::v1::CallTreeNode& node : tree.nodes()) {
    const std::string indent(for_people ? 2 * node.depth() : 0, ' ');
    std::vector<Cell> row = {
        Ns(node.total_ns()), Ns(node.self_ns()), static_cast<uint64_t>(node.calls()),
        absl::StrCat(indent, for_people ? BriefName(node.function_name()) : node.function_name())};
    if (!for_people) {
      row.insert(row.end(),
                 {static_cast<int64_t>(node.depth()), static_cast<uint64_t>(node.path_id()),
                  static_cast<uint64_t>(node.parent_path_id())});
    }
    view.table.rows.push_back(std::move(row));
  }
  view.footnote = DescribeCompleteness(tree.completeness());
  if (tree.truncated()) {
    view.footnote = absl::StrCat(GroupDigits(tree.total_nodes() - tree.nodes_size()),
                                 " more paths: --limit=", tree.total_nodes(), "\n", view.footnote);
  }
  return view;
}

absl::StatusOr<View> Sql(QueryStub& query, const CommandLine& line) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kViewDeadline);
  query::v1::SqlRequest request;
  request.set_recording(RecordingName(line.recording));
  request.set_statement(line.statement);
  request.set_max_rows(line.limit);
  auto stream = query.Sql(&context, request);
  View view;
  query::v1::SqlResponse frame;
  bool ended = false;
  while (stream->Read(&frame)) {
    for (const query::v1::SqlColumn& column : frame.schema().columns())
      view.table.columns.push_back({column.name()});
    for (const query::v1::SqlRow& row : frame.rows().rows()) {
      std::vector<Cell>& cells = view.table.rows.emplace_back();
      for (const query::v1::SqlValue& value : row.values()) cells.push_back(ToCell(value));
    }
    if (!frame.has_end()) continue;
    ended = true;
    view.footnote = DescribeCompleteness(frame.end().completeness());
    if (frame.end().truncated()) {
      view.footnote =
          absl::StrCat("cut after ", frame.end().rows(), " rows: see --limit\n", view.footnote);
    }
  }
  grpc::Status asked = stream->Finish();
  if (!asked.ok()) return rpc::FromGrpcStatus(asked);
  if (!ended) return absl::DataLossError("the query engine's answer ended early; ask again");
  return view;
}

absl::StatusOr<View> Recordings(QueryStub& query, const CommandLine& line) {
  View view;
  const bool for_people = line.output == OutputFormat::kTable;
  view.table.columns = {{"recording"}, {"state"}, {"started"}, {"calls"}, {"lost"}, {"command"}};
  if (!for_people) view.table.columns.push_back({"last_received"});
  const int limit = line.limit > 0 ? line.limit : kDefaultRows;
  query::v1::ListRecordingsRequest request;
  query::v1::ListRecordingsResponse page;
  do {
    request.set_page_size(
        std::min<int>(kMaxPage, limit - static_cast<int>(view.table.rows.size())));
    request.set_page_token(page.next_page_token());
    grpc::ClientContext context;
    rpc::SetDeadline(context, kViewDeadline);
    grpc::Status asked = query.ListRecordings(&context, request, &page);
    if (!asked.ok()) return rpc::FromGrpcStatus(asked);
    for (const trace::v1::Recording& recording : page.recordings()) {
      view.table.rows.push_back({Id(recording.name()), StateOf(recording, for_people),
                                 UtcTime(recording.start_time()),
                                 static_cast<uint64_t>(recording.completeness().calls_recorded()),
                                 static_cast<uint64_t>(recording.completeness().calls_lost()),
                                 absl::StrJoin(recording.command(), " ")});
      if (for_people) continue;
      view.table.rows.back().push_back(recording.has_last_received_time()
                                           ? Cell(UtcTime(recording.last_received_time()))
                                           : Cell());
    }
  } while (!page.next_page_token().empty() && static_cast<int>(view.table.rows.size()) < limit);
  if (view.table.rows.empty()) view.footnote = "nothing recorded yet: flightrec run -- PROGRAM";
  return view;
}

}  // namespace flightrec::cli
