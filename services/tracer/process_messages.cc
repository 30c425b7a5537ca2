#include "services/tracer/process_messages.h"

#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/rpc/status.h"

namespace flightrec::tracer {
namespace {

constexpr int kDefaultPage = 50;
constexpr int kMaxPage = 1000;
// The contract says so.
constexpr absl::Duration kCountingTime = absl::Seconds(2);

void AddContainer(const host::ProcessRow& row, capture::v1::HostProcess& message) {
  const host::CgroupContainer& container = row.process.container;
  if (container.id.empty()) return;
  capture::v1::HostContainer& to = *message.mutable_container();
  to.set_container_id(container.id);
  to.set_runtime(container.runtime);
  to.set_container_name(row.names.name);
  to.set_image(row.names.image);
  to.set_pod(row.names.pod);
  to.set_pod_namespace(row.names.pod_namespace);
  to.set_pod_uid(container.pod_uid);
}

capture::v1::HostProcess ToMessage(const host::ProcessRow& row) {
  const host::HostProcess& process = row.process;
  capture::v1::HostProcess message;
  message.set_pid(process.pid);
  message.set_parent_pid(process.status.parent);
  message.set_process_name(process.status.name);
  *message.mutable_command() = {process.command.begin(), process.command.end()};
  message.set_executable(process.executable);
  message.set_executable_deleted(process.executable_deleted);
  message.set_user(row.user);
  message.set_uid(process.status.effective_uid);
  message.set_threads(process.status.threads);
  AddContainer(row, message);
  message.set_attachable(row.attach.status.ok());
  message.set_obstacle(std::string(host::ObstacleName(row.attach.obstacle)));
  message.set_obstacle_description(std::string(row.attach.status.message()));
  message.set_recording(row.recording);
  if (row.share.has_value()) {
    message.set_functions(row.share->functions);
    message.set_hookable_functions(row.share->hookable);
  }
  return message;
}

}  // namespace

absl::StatusOr<host::ProcessQuery> ToProcessQuery(const capture::v1::ListProcessesRequest& request,
                                                  const std::vector<CaptureState>& captures) {
  host::ProcessQuery query;
  if (request.page_size() < 0 || request.page_size() > kMaxPage) {
    return rpc::InvalidField("page_size",
                             absl::StrCat(request.page_size(), ": use 0 to ", kMaxPage));
  }
  query.limit = static_cast<size_t>(request.page_size() == 0 ? kDefaultPage : request.page_size());
  // The token is the last pid given.
  if (!request.page_token().empty() &&
      (!absl::SimpleAtoi(request.page_token(), &query.after) || query.after <= 0)) {
    return rpc::InvalidField("page_token", absl::StrCat("'", request.page_token(),
                                                        "' is not from an answer: leave it empty "
                                                        "for the first page"));
  }
  if (!capture::v1::ProcessView_IsValid(request.view())) {
    return rpc::InvalidField("view", absl::StrCat(static_cast<int>(request.view()),
                                                  ": use PROCESS_VIEW_BASIC or PROCESS_VIEW_FULL"));
  }
  absl::StatusOr<host::ProcessFilter> filter = host::ProcessFilter::Parse(request.filter());
  if (!filter.ok()) return rpc::InvalidField("filter", filter.status().message());
  query.filter = *std::move(filter);
  if (request.view() == capture::v1::PROCESS_VIEW_FULL) query.counting = kCountingTime;
  for (const CaptureState& state : captures) {
    if (state.ended()) continue;
    for (const trace::v1::Process& process : state.processes) {
      if (!process.has_outcome()) query.recordings[process.pid()] = state.recording.name();
    }
  }
  return query;
}

capture::v1::ListProcessesResponse ToResponse(const host::ProcessPage& page) {
  capture::v1::ListProcessesResponse response;
  for (const host::ProcessRow& row : page.rows) *response.add_processes() = ToMessage(row);
  if (page.more) response.set_next_page_token(absl::StrCat(page.rows.back().process.pid));
  return response;
}

}  // namespace flightrec::tracer
