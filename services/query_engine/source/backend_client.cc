#include "services/query_engine/source/backend_client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"

namespace flightrec::query_engine {
namespace {

constexpr int kPageSize = 1000;

}  // namespace

BackendClient::BackendClient(std::shared_ptr<grpc::Channel> channel, std::string address,
                             absl::Duration stream_timeout)
    : address_(std::move(address)),
      stream_timeout_(stream_timeout),
      stub_(read::v1::ReadService::NewStub(std::move(channel))) {}

absl::Status BackendClient::Explain(const grpc::Status& status) const {
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return rpc::FromGrpcStatus(status);
  return rpc::WithReason(
      absl::UnavailableError(absl::StrCat("the backend at ", address_,
                                          " cannot be reached: ", status.error_message())),
      "BACKEND_UNAVAILABLE", "start it there, or name another one with --backend");
}

absl::StatusOr<RecordingPage> BackendClient::ListRecordings(int32_t page_size,
                                                            const std::string& page_token,
                                                            const std::string& filter) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kUnaryTimeout);
  read::v1::ListRecordingsRequest request;
  request.set_page_size(page_size);
  request.set_page_token(page_token);
  request.set_filter(filter);
  read::v1::ListRecordingsResponse response;
  const grpc::Status status = stub_->ListRecordings(&context, request, &response);
  if (!status.ok()) return Explain(status);
  return RecordingPage{{response.recordings().begin(), response.recordings().end()},
                       response.next_page_token()};
}

absl::StatusOr<trace::v1::Recording> BackendClient::GetRecording(const std::string& name) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kUnaryTimeout);
  read::v1::GetRecordingRequest request;
  request.set_name(name);
  trace::v1::Recording recording;
  const grpc::Status status = stub_->GetRecording(&context, request, &recording);
  if (!status.ok()) return Explain(status);
  return recording;
}

absl::StatusOr<std::vector<trace::v1::Process>> BackendClient::ListProcesses(
    const std::string& recording) {
  std::vector<trace::v1::Process> all;
  read::v1::ListProcessesRequest request;
  request.set_parent(recording);
  request.set_page_size(kPageSize);
  do {
    grpc::ClientContext context;
    rpc::SetDeadline(context, kUnaryTimeout);
    read::v1::ListProcessesResponse response;
    const grpc::Status status = stub_->ListProcesses(&context, request, &response);
    if (!status.ok()) return Explain(status);
    all.insert(all.end(), response.processes().begin(), response.processes().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

absl::StatusOr<std::vector<trace::v1::Thread>> BackendClient::ListThreads(
    const std::string& recording) {
  std::vector<trace::v1::Thread> all;
  read::v1::ListThreadsRequest request;
  request.set_parent(recording);
  request.set_page_size(kPageSize);
  do {
    grpc::ClientContext context;
    rpc::SetDeadline(context, kUnaryTimeout);
    read::v1::ListThreadsResponse response;
    const grpc::Status status = stub_->ListThreads(&context, request, &response);
    if (!status.ok()) return Explain(status);
    all.insert(all.end(), response.threads().begin(), response.threads().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

absl::Status BackendClient::ReadFunctions(const std::string& recording,
                                          const FunctionConsumer& consume) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, stream_timeout_);
  read::v1::StreamFunctionsRequest request;
  request.set_parent(recording);
  const auto reader = stub_->StreamFunctions(&context, request);
  read::v1::StreamFunctionsResponse response;
  absl::Status consumed;
  while (reader->Read(&response)) {
    for (const trace::v1::Function& function : response.functions()) {
      consumed.Update(consume(function));
    }
    if (!consumed.ok()) context.TryCancel();
  }
  const grpc::Status status = reader->Finish();
  if (!consumed.ok()) return consumed;
  return status.ok() ? absl::OkStatus() : Explain(status);
}

absl::StatusOr<uint64_t> BackendClient::ReadChunks(const std::string& recording,
                                                   const ChunkConsumer& consume) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, stream_timeout_);
  read::v1::StreamChunksRequest request;
  request.set_parent(recording);
  request.set_lane(trace::v1::LANE_INDEX);
  const auto reader = stub_->StreamChunks(&context, request);
  read::v1::StreamChunksResponse response;
  absl::Status consumed;
  uint64_t last_position = 0;
  bool ended = false;
  while (consumed.ok() && reader->Read(&response)) {
    if (response.has_chunk()) consumed = consume(response.chunk().chunk().data());
    if (!response.has_end()) continue;
    ended = true;
    last_position = response.end().last_position();
  }
  if (!consumed.ok()) {
    context.TryCancel();
    reader->Finish();
    return consumed;
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return Explain(status);
  if (ended) return last_position;
  return absl::DataLossError(absl::StrCat("the backend at ", address_, " ended the chunks of ",
                                          recording, " without totals; ask again"));
}

absl::StatusOr<bool> BackendClient::HasChunksAfter(const std::string& recording,
                                                   uint64_t position) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kUnaryTimeout);
  read::v1::StreamChunksRequest request;
  request.set_parent(recording);
  request.set_lane(trace::v1::LANE_INDEX);
  request.set_after_position(position);
  const auto reader = stub_->StreamChunks(&context, request);
  read::v1::StreamChunksResponse response;
  while (reader->Read(&response)) {
    if (!response.has_chunk()) continue;
    context.TryCancel();
    reader->Finish();
    return true;
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return Explain(status);
  return false;
}

}  // namespace flightrec::query_engine
