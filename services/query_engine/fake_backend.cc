#include "services/query_engine/fake_backend.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/chunk/codec.h"

namespace flightrec::query_engine {

FakeBackend::FakeBackend() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

FakeBackend::~FakeBackend() { Stop(); }

std::string FakeBackend::address() const { return absl::StrCat("127.0.0.1:", port_); }

void FakeBackend::Stop() {
  server_->Shutdown(absl::ToChronoTime(absl::Now()));
  server_->Wait();
}

void FakeBackend::AddRecording(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  Held& held = held_.emplace_back();
  held.recording.set_name(name);
  held.recording.set_state(trace::v1::RECORDING_STATE_SEALED);
}

void FakeBackend::SetState(const std::string& name, trace::v1::RecordingState state) {
  absl::MutexLock lock(&mutex_);
  Find(name)->recording.set_state(state);
}

void FakeBackend::AddFunction(const std::string& recording, uint64_t id, const std::string& name) {
  absl::MutexLock lock(&mutex_);
  trace::v1::Function& function = Find(recording)->functions.emplace_back();
  function.set_function_id(id);
  function.set_name(name);
}

void FakeBackend::AddChunk(const std::string& recording, const chunk::CallChunk& chunk) {
  absl::MutexLock lock(&mutex_);
  Find(recording)->chunks.push_back(*chunk::EncodeCallChunk(chunk));
}

int FakeBackend::full_reads() const {
  absl::MutexLock lock(&mutex_);
  return full_reads_;
}

FakeBackend::Held* FakeBackend::Find(const std::string& name) {
  if (name == "recordings/@latest" && !held_.empty()) return &held_.back();
  for (Held& held : held_) {
    if (held.recording.name() == name) return &held;
  }
  return nullptr;
}

grpc::Status FakeBackend::ListRecordings(grpc::ServerContext* /*context*/,
                                         const read::v1::ListRecordingsRequest* request,
                                         read::v1::ListRecordingsResponse* response) {
  absl::MutexLock lock(&mutex_);
  for (auto held = held_.rbegin(); held != held_.rend(); ++held) {
    *response->add_recordings() = held->recording;
  }
  response->set_next_page_token(request->page_token());
  return grpc::Status::OK;
}

grpc::Status FakeBackend::GetRecording(grpc::ServerContext* /*context*/,
                                       const read::v1::GetRecordingRequest* request,
                                       trace::v1::Recording* response) {
  absl::MutexLock lock(&mutex_);
  const Held* held = Find(request->name());
  if (held == nullptr) {
    return {grpc::StatusCode::NOT_FOUND, "no recording \"" + request->name() + "\"; nearest: none"};
  }
  *response = held->recording;
  return grpc::Status::OK;
}

grpc::Status FakeBackend::ListProcesses(grpc::ServerContext* /*context*/,
                                        const read::v1::ListProcessesRequest* /*request*/,
                                        read::v1::ListProcessesResponse* response) {
  trace::v1::Process* process = response->add_processes();
  process->set_process_id(0x50);
  process->set_pid(80);
  process->mutable_outcome()->set_exit_code(3);
  return grpc::Status::OK;
}

grpc::Status FakeBackend::ListThreads(grpc::ServerContext* /*context*/,
                                      const read::v1::ListThreadsRequest* /*request*/,
                                      read::v1::ListThreadsResponse* /*response*/) {
  return grpc::Status::OK;
}

grpc::Status FakeBackend::StreamFunctions(
    grpc::ServerContext* /*context*/, const read::v1::StreamFunctionsRequest* request,
    grpc::ServerWriter<read::v1::StreamFunctionsResponse>* writer) {
  absl::MutexLock lock(&mutex_);
  read::v1::StreamFunctionsResponse response;
  for (const trace::v1::Function& function : Find(request->parent())->functions) {
    *response.add_functions() = function;
  }
  writer->Write(response);
  return grpc::Status::OK;
}

grpc::Status FakeBackend::StreamChunks(grpc::ServerContext* /*context*/,
                                       const read::v1::StreamChunksRequest* request,
                                       grpc::ServerWriter<read::v1::StreamChunksResponse>* writer) {
  absl::MutexLock lock(&mutex_);
  const Held* held = Find(request->parent());
  if (request->after_position() == 0) ++full_reads_;
  read::v1::StreamChunksResponse response;
  *response.mutable_header()->mutable_recording() = held->recording;
  writer->Write(response);
  for (uint64_t position = request->after_position(); position < held->chunks.size(); ++position) {
    response.mutable_chunk()->set_position(position + 1);
    response.mutable_chunk()->mutable_chunk()->set_data(held->chunks[position]);
    writer->Write(response);
  }
  response.mutable_end()->set_chunks(held->chunks.size());
  response.mutable_end()->set_last_position(held->chunks.size());
  writer->Write(response);
  return grpc::Status::OK;
}

}  // namespace flightrec::query_engine
