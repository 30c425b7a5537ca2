#include "services/backend/read_service.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/ids/resource_name.h"
#include "common/rpc/status.h"
#include "services/backend/page_token.h"
#include "services/backend/recording_filter.h"
#include "services/backend/tenant.h"

namespace flightrec::backend {
namespace {

absl::StatusOr<PageLimits> LimitsOf(int32_t page_size) {
  if (page_size < 0 || page_size > kMaxPageSize) {
    return rpc::InvalidField("page_size", absl::StrCat("must be 1 to ", kMaxPageSize, ", or 0 for ",
                                                       kDefaultPageSize, "; got ", page_size));
  }
  PageLimits limits;
  limits.items = static_cast<size_t>(page_size == 0 ? kDefaultPageSize : page_size);
  return limits;
}

// Says so itself, whatever the producer knew when it sent the recording.
void MarkRunning(trace::v1::Recording& recording) {
  if (recording.state() < trace::v1::RECORDING_STATE_SEALED) {
    recording.mutable_completeness()->set_still_recording(true);
  }
}

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(rpc::ToGrpcStatus(status));
  return reactor;
}

}  // namespace

ReadService::ReadService(Store& store, const ReadLimits& limits, absl::Duration undelete_window,
                         const rpc::Authenticator& authenticator, log::Logger& logger,
                         metrics::Registry& registry)
    : store_(store),
      undelete_window_(undelete_window),
      authenticator_(authenticator),
      logger_(logger),
      metrics_(registry),
      tails_(store, limits, metrics_) {}

grpc::ServerUnaryReactor* ReadService::ListRecordings(
    grpc::CallbackServerContext* context, const read::v1::ListRecordingsRequest* request,
    read::v1::ListRecordingsResponse* response) {
  return Answer(context, DoListRecordings(TenantOf(authenticator_, *context), *request, *response));
}

absl::Status ReadService::DoListRecordings(absl::string_view tenant,
                                           const read::v1::ListRecordingsRequest& request,
                                           read::v1::ListRecordingsResponse& response) const {
  absl::StatusOr<PageLimits> limits = LimitsOf(request.page_size());
  if (!limits.ok()) return limits.status();
  absl::StatusOr<Store::RecordingFilter> filter = ParseRecordingFilter(request.filter());
  if (!filter.ok()) return filter.status();
  const std::string list = absl::StrCat("recordings?", request.filter());
  absl::StatusOr<std::string> cursor = DecodePageToken(list, request.page_token());
  if (!cursor.ok()) return cursor.status();
  absl::StatusOr<Page<trace::v1::Recording>> page =
      store_.ListRecordings(tenant, *cursor, *limits, *filter);
  if (!page.ok()) return page.status();
  for (trace::v1::Recording& recording : page->items) {
    MarkRunning(recording);
    *response.add_recordings() = std::move(recording);
  }
  response.set_next_page_token(EncodePageToken(list, page->cursor));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* ReadService::GetRecording(grpc::CallbackServerContext* context,
                                                    const read::v1::GetRecordingRequest* request,
                                                    trace::v1::Recording* response) {
  absl::StatusOr<Resource> resource =
      ResolveRecording(store_, TenantOf(authenticator_, *context), "name", request->name());
  if (!resource.ok()) return Answer(context, resource.status());
  *response = std::move(resource->recording);
  MarkRunning(*response);
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* ReadService::ListProcesses(grpc::CallbackServerContext* context,
                                                     const read::v1::ListProcessesRequest* request,
                                                     read::v1::ListProcessesResponse* response) {
  return Answer(context, DoListProcesses(TenantOf(authenticator_, *context), *request, *response));
}

absl::Status ReadService::DoListProcesses(absl::string_view tenant,
                                          const read::v1::ListProcessesRequest& request,
                                          read::v1::ListProcessesResponse& response) const {
  absl::StatusOr<PageLimits> limits = LimitsOf(request.page_size());
  if (!limits.ok()) return limits.status();
  const std::string list = absl::StrCat("processes?", request.parent());
  absl::StatusOr<std::string> cursor = DecodePageToken(list, request.page_token());
  if (!cursor.ok()) return cursor.status();
  absl::StatusOr<Resource> resource = ResolveRecording(store_, tenant, "parent", request.parent());
  if (!resource.ok()) return resource.status();
  absl::StatusOr<Page<trace::v1::Process>> page =
      store_.ListProcesses(tenant, resource->recording_id, *cursor, *limits);
  if (!page.ok()) return page.status();
  for (trace::v1::Process& process : page->items) *response.add_processes() = std::move(process);
  response.set_next_page_token(EncodePageToken(list, page->cursor));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* ReadService::ListThreads(grpc::CallbackServerContext* context,
                                                   const read::v1::ListThreadsRequest* request,
                                                   read::v1::ListThreadsResponse* response) {
  return Answer(context, DoListThreads(TenantOf(authenticator_, *context), *request, *response));
}

absl::Status ReadService::DoListThreads(absl::string_view tenant,
                                        const read::v1::ListThreadsRequest& request,
                                        read::v1::ListThreadsResponse& response) const {
  absl::StatusOr<PageLimits> limits = LimitsOf(request.page_size());
  if (!limits.ok()) return limits.status();
  const std::string list = absl::StrCat("threads?", request.parent());
  absl::StatusOr<std::string> cursor = DecodePageToken(list, request.page_token());
  if (!cursor.ok()) return cursor.status();
  absl::StatusOr<Resource> resource = ResolveResource(store_, tenant, "parent", request.parent());
  if (!resource.ok()) return resource.status();
  if (resource->thread != 0) {
    return rpc::InvalidField(
        "parent", absl::StrCat("must be a recording or a process, got ", request.parent()));
  }
  std::optional<ids::ProcessId> process;
  if (resource->process != 0) process = resource->process;
  absl::StatusOr<Page<trace::v1::Thread>> page =
      store_.ListThreads(tenant, resource->recording_id, process, *cursor, *limits);
  if (!page.ok()) return page.status();
  for (trace::v1::Thread& thread : page->items) *response.add_threads() = std::move(thread);
  response.set_next_page_token(EncodePageToken(list, page->cursor));
  return absl::OkStatus();
}

grpc::ServerWriteReactor<read::v1::StreamFunctionsResponse>* ReadService::StreamFunctions(
    grpc::CallbackServerContext* context, const read::v1::StreamFunctionsRequest* request) {
  std::string tenant = TenantOf(authenticator_, *context);
  absl::StatusOr<Resource> resource = ResolveRecording(store_, tenant, "parent", request->parent());
  if (!resource.ok()) {
    return new FailedStream<read::v1::StreamFunctionsResponse>(
        rpc::ToGrpcStatus(resource.status()));
  }
  return new FunctionsStream(store_, std::move(tenant), *resource);
}

absl::StatusOr<ChunkCursor> ReadService::OpenChunks(
    const std::string& tenant, const read::v1::StreamChunksRequest& request) const {
  if (request.start_ns() < 0 || request.end_ns() < 0 ||
      (request.end_ns() != 0 && request.end_ns() <= request.start_ns())) {
    return rpc::InvalidField(
        "end_ns", absl::StrCat("must be after start_ns, got start_ns=", request.start_ns(),
                               " end_ns=", request.end_ns()));
  }
  if (request.function_ids_size() > kMaxFunctionIds) {
    return rpc::InvalidField("function_ids", absl::StrCat("has ", request.function_ids_size(),
                                                          ", the most is ", kMaxFunctionIds));
  }
  absl::StatusOr<Resource> resource = ResolveResource(store_, tenant, "parent", request.parent());
  if (!resource.ok()) return resource.status();
  ChunkQuery query;
  query.tenant = tenant;
  query.recording = resource->recording_id;
  query.process = resource->process;
  query.thread = resource->thread;
  query.lane =
      request.lane() == trace::v1::LANE_DETAIL ? chunk::Lane::kDetail : chunk::Lane::kIndex;
  query.start_ns = request.start_ns();
  query.end_ns = request.end_ns();
  query.after_position = request.after_position();
  query.function_ids.assign(request.function_ids().begin(), request.function_ids().end());
  return store_.ReadChunks(std::move(query));
}

grpc::ServerWriteReactor<read::v1::StreamChunksResponse>* ReadService::StreamChunks(
    grpc::CallbackServerContext* context, const read::v1::StreamChunksRequest* request) {
  absl::StatusOr<ChunkCursor> cursor = OpenChunks(TenantOf(authenticator_, *context), *request);
  if (!cursor.ok()) {
    return new FailedStream<read::v1::StreamChunksResponse>(rpc::ToGrpcStatus(cursor.status()));
  }
  return new ChunksStream(*std::move(cursor),
                          {&metrics_.chunks_read, &metrics_.bytes_read, &metrics_.chunks_pruned});
}

grpc::ServerWriteReactor<read::v1::TailChunksResponse>* ReadService::TailChunks(
    grpc::CallbackServerContext* context, const read::v1::TailChunksRequest* request) {
  return tails_.Tail(TenantOf(authenticator_, *context), *request);
}

grpc::ServerWriteReactor<read::v1::StreamRollupsResponse>* ReadService::StreamRollups(
    grpc::CallbackServerContext* context, const read::v1::StreamRollupsRequest* request) {
  std::string tenant = TenantOf(authenticator_, *context);
  absl::StatusOr<Resource> resource = ResolveRecording(store_, tenant, "parent", request->parent());
  if (!resource.ok()) {
    return new FailedStream<read::v1::StreamRollupsResponse>(rpc::ToGrpcStatus(resource.status()));
  }
  return new RollupsStream(store_, std::move(tenant), *resource, request->after_position());
}

grpc::ServerUnaryReactor* ReadService::DeleteRecording(
    grpc::CallbackServerContext* context, const read::v1::DeleteRecordingRequest* request,
    google::protobuf::Empty* /*response*/) {
  std::string tenant = TenantOf(authenticator_, *context);
  if (request->name() == kLatest) {
    return Answer(context, rpc::InvalidField("name", "must name the recording to delete itself"));
  }
  absl::StatusOr<Resource> resource = ResolveRecording(store_, tenant, "name", request->name());
  if (!resource.ok()) return Answer(context, resource.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  store_.Delete(tenant, resource->recording_id, undelete_window_,
                [this, reactor, tenant, name = request->name(),
                 peer = context->peer()](const absl::Status& status) {
                  logger_.Info("recording_deleted", {{"recording", name},
                                                     {"tenant", tenant},
                                                     {"peer", peer},
                                                     {"undelete_window", undelete_window_},
                                                     {"status", status}});
                  if (status.ok()) metrics_.recordings_deleted.Add();
                  reactor->Finish(rpc::ToGrpcStatus(status));
                });
  return reactor;
}

grpc::ServerUnaryReactor* ReadService::UndeleteRecording(
    grpc::CallbackServerContext* context, const read::v1::UndeleteRecordingRequest* request,
    trace::v1::Recording* response) {
  std::string tenant = TenantOf(authenticator_, *context);
  absl::StatusOr<ids::Ulid> id = ids::ParseRecordingResourceName(request->name());
  if (!id.ok()) return Answer(context, rpc::InvalidField("name", id.status().message()));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  store_.Undelete(
      tenant, *id,
      [this, reactor, tenant, id = *id, response, peer = context->peer()](absl::Status status) {
        logger_.Info("recording_undeleted", {{"recording", ids::RecordingResourceName(id)},
                                             {"tenant", tenant},
                                             {"peer", peer},
                                             {"status", status}});
        if (absl::IsNotFound(status)) {
          status = rpc::WithReason(status, "RECORDING_NOT_DELETED",
                                   "list those that can be brought back: ListDeletedRecordings");
        }
        if (status.ok()) {
          absl::StatusOr<trace::v1::Recording> recording = store_.GetRecording(tenant, id);
          status = recording.status();
          if (recording.ok()) *response = *std::move(recording);
          if (status.ok()) MarkRunning(*response);
        }
        reactor->Finish(rpc::ToGrpcStatus(status));
      });
  return reactor;
}

grpc::ServerUnaryReactor* ReadService::ListDeletedRecordings(
    grpc::CallbackServerContext* context, const read::v1::ListDeletedRecordingsRequest* request,
    read::v1::ListDeletedRecordingsResponse* response) {
  return Answer(context,
                DoListDeletedRecordings(TenantOf(authenticator_, *context), *request, *response));
}

absl::Status ReadService::DoListDeletedRecordings(
    absl::string_view tenant, const read::v1::ListDeletedRecordingsRequest& request,
    read::v1::ListDeletedRecordingsResponse& response) const {
  absl::StatusOr<PageLimits> limits = LimitsOf(request.page_size());
  if (!limits.ok()) return limits.status();
  const std::string list = "deleted?";
  absl::StatusOr<std::string> cursor = DecodePageToken(list, request.page_token());
  if (!cursor.ok()) return cursor.status();
  absl::StatusOr<Page<TrashEntry>> page = store_.ListDeletedRecordings(tenant, *cursor, *limits);
  if (!page.ok()) return page.status();
  for (TrashEntry& trashed : page->items) {
    read::v1::DeletedRecording& deleted = *response.add_recordings();
    deleted.mutable_delete_time()->set_seconds(trashed.delete_time);
    deleted.mutable_purge_time()->set_seconds(trashed.purge_time);
    *deleted.mutable_recording() = std::move(trashed.recording);
    MarkRunning(*deleted.mutable_recording());
  }
  response.set_next_page_token(EncodePageToken(list, page->cursor));
  return absl::OkStatus();
}

}  // namespace flightrec::backend
