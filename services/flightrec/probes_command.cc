#include "services/flightrec/probes_command.h"

#include <grpcpp/grpcpp.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"

namespace flightrec::cli {
namespace {

// Reading the symbols of a very large program takes seconds.
constexpr absl::Duration kUpdateDeadline = absl::Minutes(2);
constexpr char kLatest[] = "@latest";

// The newest recording that has not ended.
absl::StatusOr<std::string> FindLatest(capture::v1::CaptureService::Stub& capture) {
  capture::v1::ListCapturesRequest request;
  capture::v1::ListCapturesResponse page;
  do {
    request.set_page_token(page.next_page_token());
    grpc::ClientContext context;
    rpc::SetDeadline(context, kUpdateDeadline);
    grpc::Status asked = capture.ListCaptures(&context, request, &page);
    if (!asked.ok()) return rpc::FromGrpcStatus(asked);
    for (const capture::v1::Capture& one : page.captures()) {
      if (one.recording().state() == trace::v1::RECORDING_STATE_RECORDING)
        return one.recording().name();
    }
  } while (!page.next_page_token().empty());
  return absl::NotFoundError(
      "this tracer records nothing now; start a program with: flightrec run");
}

}  // namespace

absl::StatusOr<View> Probes(Connection& connection, const CommandLine& line) {
  auto capture = connection.Capture();
  if (!capture.ok()) return capture.status();
  absl::StatusOr<std::string> name =
      line.recording == kLatest ? FindLatest(**capture) : RecordingName(line.recording);
  if (!name.ok()) return name.status();
  capture::v1::UpdateProbesRequest request;
  request.set_recording(*name);
  *request.mutable_add_patterns() = {line.add_patterns.begin(), line.add_patterns.end()};
  *request.mutable_remove_patterns() = {line.remove_patterns.begin(), line.remove_patterns.end()};
  grpc::ClientContext context;
  rpc::SetDeadline(context, kUpdateDeadline);
  capture::v1::UpdateProbesResponse response;
  grpc::Status asked = (*capture)->UpdateProbes(&context, request, &response);
  if (!asked.ok()) return rpc::FromGrpcStatus(asked);
  View view;
  view.heading = absl::StrCat(GroupDigits(response.functions_hooked()), " functions are hooked\n");
  if (response.refusals_size() > 0) absl::StrAppend(&view.heading, "\n");
  // Programs do not read the heading.
  const bool told = line.output == OutputFormat::kTable;
  const auto hooked = static_cast<uint64_t>(response.functions_hooked());
  if (!told) view.table.columns = {{"functions_hooked"}};
  if (!told || response.refusals_size() > 0) {
    for (const char* name : {"refused_because", "functions", "for_example"})
      view.table.columns.push_back({name});
  }
  for (const trace::v1::Refusal& refusal : response.refusals()) {
    std::vector<Cell> row;
    if (!told) row.push_back(hooked);
    row.insert(row.end(), {refusal.description(), static_cast<uint64_t>(refusal.functions()),
                           refusal.examples_size() > 0 ? refusal.examples(0) : ""});
    view.table.rows.push_back(std::move(row));
  }
  // Nothing was refused.
  if (!told && view.table.rows.empty()) view.table.rows.push_back({hooked, {}, uint64_t{0}, {}});
  return view;
}

}  // namespace flightrec::cli
