#include "services/backend/read_service.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "common/ids/resource_name.h"
#include "services/backend/loopback_backend.h"
#include "services/backend/store/test_items.h"

namespace flightrec::backend {
namespace {

constexpr uint8_t kRecordings = 3;
constexpr int kFunctions = 2500;
// Makes the functions fill more than one message.
constexpr size_t kFunctionNameBytes = 1000;
// They, and the rollups of these chunks, are more than gRPC takes for a reader that does not read.
constexpr uint64_t kManyTables = 4;
constexpr uint64_t kManyChunks = 150;
constexpr size_t kManyCalls = 3000;

std::string NameOf(uint8_t number) { return ids::RecordingResourceName(TestRecordingId(number)); }

// kRecordings recordings; the newest is sealed and has one process, two threads, three chunks and
// kFunctions functions.
class ReadServiceTest : public ::testing::Test {
 protected:
  ReadServiceTest() {
    TestProducer producer(backend_);
    producer.Greet();
    producer.Send(Metadata());
    producer.Send(Functions());
    producer.Send(Chunks());
    producer.SendFlush(1);
    ingest::v1::SessionResponse response = producer.Next();
    while (response.has_ack()) response = producer.Next();
    EXPECT_TRUE(response.has_flushed()) << response.ShortDebugString();
    EXPECT_TRUE(producer.Finish().ok());
  }

  static ingest::v1::Batch Metadata() {
    ingest::v1::Batch batch;
    batch.set_sequence(1);
    for (uint8_t i = 1; i <= kRecordings; ++i) {
      *batch.add_items()->mutable_recording() = TestRecording(TestRecordingId(i));
    }
    const ids::Ulid newest = TestRecordingId(kRecordings);
    *batch.add_items()->mutable_process() = TestProcess(newest);
    *batch.add_items()->mutable_thread() = TestThread(newest, 0xa);
    *batch.add_items()->mutable_thread() = TestThread(newest, 0xb);
    return batch;
  }
  static ingest::v1::Batch Functions() {
    ingest::v1::Batch batch;
    batch.set_sequence(2);
    // Each item of its own kind has a limit, so the table comes in parts.
    for (int i = 1; i <= kFunctions / 2; ++i) AddFunction(batch, static_cast<uint64_t>(i));
    return batch;
  }
  static void AddFunction(ingest::v1::Batch& batch, uint64_t id) {
    ingest::v1::FunctionTable& table = *batch.add_items()->mutable_functions();
    table.set_recording(NameOf(kRecordings));
    for (const uint64_t function_id : {id, id + kFunctions / 2}) {
      trace::v1::Function& function = *table.add_functions();
      function.set_function_id(function_id);
      function.set_name(std::string(kFunctionNameBytes / 2, 'f'));
    }
  }
  static ingest::v1::Batch Chunks() {
    const ids::Ulid newest = TestRecordingId(kRecordings);
    ingest::v1::Batch batch;
    batch.set_sequence(3);
    batch.add_items()->mutable_chunk()->set_data(TestChunk(newest, 0, 0xb));
    batch.add_items()->mutable_chunk()->set_data(TestChunk(newest, 0, 0xa));
    batch.add_items()->mutable_chunk()->set_data(TestChunk(newest, 1, 0xa));
    *batch.add_items()->mutable_recording() =
        TestRecording(newest, trace::v1::RECORDING_STATE_SEALED);
    return batch;
  }

  grpc::Status List(const read::v1::ListRecordingsRequest& request,
                    read::v1::ListRecordingsResponse& response) {
    grpc::ClientContext context;
    return backend_.read().ListRecordings(&context, request, &response);
  }
  grpc::Status Get(const std::string& name, trace::v1::Recording& recording) {
    grpc::ClientContext context;
    read::v1::GetRecordingRequest request;
    request.set_name(name);
    return backend_.read().GetRecording(&context, request, &recording);
  }
  std::vector<read::v1::StreamChunksResponse> Stream(const read::v1::StreamChunksRequest& request,
                                                     grpc::Status* status = nullptr) {
    grpc::ClientContext context;
    const auto reader = backend_.read().StreamChunks(&context, request);
    std::vector<read::v1::StreamChunksResponse> frames;
    read::v1::StreamChunksResponse frame;
    while (reader->Read(&frame)) frames.push_back(frame);
    const grpc::Status end = reader->Finish();
    if (status != nullptr) *status = end;
    return frames;
  }

  LoopbackBackend backend_;
};

TEST_F(ReadServiceTest, page_size_is_two__then_recordings_come_newest_first_in_pages) {
  read::v1::ListRecordingsRequest request;
  request.set_page_size(2);
  read::v1::ListRecordingsResponse first;
  ASSERT_TRUE(List(request, first).ok());
  ASSERT_EQ(first.recordings_size(), 2);
  EXPECT_EQ(first.recordings(0).name(), NameOf(3));
  EXPECT_EQ(first.recordings(1).name(), NameOf(2));
  request.set_page_token(first.next_page_token());
  read::v1::ListRecordingsResponse second;
  ASSERT_TRUE(List(request, second).ok());
  ASSERT_EQ(second.recordings_size(), 1);
  EXPECT_EQ(second.recordings(0).name(), NameOf(1));
  EXPECT_EQ(second.next_page_token(), "");
}

TEST_F(ReadServiceTest, filter_names_a_state__then_only_those_recordings_come) {
  read::v1::ListRecordingsRequest request;
  request.set_filter("state = SEALED");
  read::v1::ListRecordingsResponse response;
  ASSERT_TRUE(List(request, response).ok());
  ASSERT_EQ(response.recordings_size(), 1);
  EXPECT_EQ(response.recordings(0).name(), NameOf(3));
}

TEST_F(ReadServiceTest, bad_list_requests__then_INVALID_ARGUMENT_names_the_field) {
  read::v1::ListRecordingsResponse response;
  read::v1::ListRecordingsRequest size;
  size.set_page_size(kMaxPageSize + 1);
  EXPECT_EQ(List(size, response).error_code(), grpc::INVALID_ARGUMENT);
  read::v1::ListRecordingsRequest filter;
  filter.set_filter("state > SEALED");
  const grpc::Status status = List(filter, response);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_TRUE(absl::StrContains(status.error_message(), "got `state > SEALED`"));
  read::v1::ListRecordingsRequest token;
  token.set_page_token("garbage");
  EXPECT_EQ(List(token, response).error_code(), grpc::INVALID_ARGUMENT);
}

TEST_F(ReadServiceTest, page_token_of_another_filter__then_INVALID_ARGUMENT) {
  read::v1::ListRecordingsRequest request;
  request.set_page_size(1);
  read::v1::ListRecordingsResponse response;
  ASSERT_TRUE(List(request, response).ok());
  request.set_page_token(response.next_page_token());
  request.set_filter("state = SEALED");
  EXPECT_EQ(List(request, response).error_code(), grpc::INVALID_ARGUMENT);
}

TEST_F(ReadServiceTest, latest__then_the_newest_recording) {
  trace::v1::Recording recording;
  ASSERT_TRUE(Get("recordings/@latest", recording).ok());
  EXPECT_EQ(recording.name(), NameOf(kRecordings));
  EXPECT_FALSE(recording.completeness().still_recording());
}

TEST_F(ReadServiceTest, recording_is_not_sealed__then_completeness_says_so) {
  trace::v1::Recording recording;
  ASSERT_TRUE(Get(NameOf(1), recording).ok());
  EXPECT_TRUE(recording.completeness().still_recording());
}

TEST_F(ReadServiceTest, unknown_recording__then_NOT_FOUND_with_the_nearest_names) {
  trace::v1::Recording recording;
  std::string name = NameOf(1);
  name.back() = 'Z';
  const grpc::Status status = Get(name, recording);
  EXPECT_EQ(status.error_code(), grpc::NOT_FOUND);
  EXPECT_TRUE(absl::StrContains(status.error_message(), name));
  EXPECT_TRUE(absl::StrContains(status.error_message(), NameOf(1))) << status.error_message();
}

TEST_F(ReadServiceTest, malformed_name__then_INVALID_ARGUMENT) {
  trace::v1::Recording recording;
  EXPECT_EQ(Get("processes/1", recording).error_code(), grpc::INVALID_ARGUMENT);
}

TEST_F(ReadServiceTest, recording_has_a_process_and_threads__then_they_are_listed) {
  grpc::ClientContext processes_context;
  read::v1::ListProcessesRequest processes_request;
  processes_request.set_parent(NameOf(kRecordings));
  read::v1::ListProcessesResponse processes;
  ASSERT_TRUE(
      backend_.read().ListProcesses(&processes_context, processes_request, &processes).ok());
  ASSERT_EQ(processes.processes_size(), 1);

  grpc::ClientContext threads_context;
  read::v1::ListThreadsRequest threads_request;
  threads_request.set_parent(processes.processes(0).name());
  threads_request.set_page_size(1);
  read::v1::ListThreadsResponse threads;
  ASSERT_TRUE(backend_.read().ListThreads(&threads_context, threads_request, &threads).ok());
  ASSERT_EQ(threads.threads_size(), 1);
  EXPECT_EQ(threads.threads(0).thread_id(), 0xau);
  EXPECT_NE(threads.next_page_token(), "");
}

TEST_F(ReadServiceTest, many_functions__then_they_come_in_messages_under_1_MiB) {
  grpc::ClientContext context;
  read::v1::StreamFunctionsRequest request;
  request.set_parent("recordings/@latest");
  const auto reader = backend_.read().StreamFunctions(&context, request);
  read::v1::StreamFunctionsResponse response;
  int functions = 0;
  int messages = 0;
  while (reader->Read(&response)) {
    EXPECT_LE(response.ByteSizeLong(), size_t{1} << 20);
    functions += response.functions_size();
    ++messages;
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(functions, kFunctions);
  EXPECT_GT(messages, 1);
}

TEST_F(ReadServiceTest, recording_has_chunks__then_they_come_between_header_and_end_with_totals) {
  read::v1::StreamChunksRequest request;
  request.set_parent(NameOf(kRecordings));
  const std::vector<read::v1::StreamChunksResponse> frames = Stream(request);
  ASSERT_EQ(frames.size(), 5u);
  EXPECT_EQ(frames[0].header().recording().name(), NameOf(kRecordings));
  EXPECT_EQ(frames[1].chunk().chunk().data(), TestChunk(TestRecordingId(kRecordings), 0, 0xa));
  EXPECT_EQ(frames[1].chunk().position(), 2u);
  EXPECT_EQ(frames[4].end().chunks(), 3u);
  EXPECT_EQ(frames[4].end().last_position(), 3u);
  EXPECT_GE(frames[4].end().calls(), 300u);
}

TEST_F(ReadServiceTest, thread_and_position_are_named__then_only_those_chunks_come) {
  read::v1::StreamChunksRequest request;
  request.set_parent(ids::ThreadResourceName(TestRecordingId(kRecordings), kTestProcess, 0xa));
  request.set_after_position(2);
  const std::vector<read::v1::StreamChunksResponse> frames = Stream(request);
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[1].chunk().position(), 3u);
}

TEST_F(ReadServiceTest, chunks_of_unknown_recording__then_NOT_FOUND) {
  read::v1::StreamChunksRequest request;
  request.set_parent(NameOf(77));
  grpc::Status status;
  EXPECT_TRUE(Stream(request, &status).empty());
  EXPECT_EQ(status.error_code(), grpc::NOT_FOUND);
}

TEST_F(ReadServiceTest, too_many_functions_asked_for__then_INVALID_ARGUMENT_names_the_field) {
  read::v1::StreamChunksRequest request;
  request.set_parent(NameOf(kRecordings));
  for (uint64_t i = 0; i <= kMaxFunctionIds; ++i) request.add_function_ids(i);
  grpc::Status status;
  EXPECT_TRUE(Stream(request, &status).empty());
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_TRUE(absl::StrContains(status.error_message(), "function_ids"));
}

std::vector<read::v1::StreamRollupsResponse> Rollups(LoopbackBackend& backend,
                                                     const std::string& parent) {
  grpc::ClientContext context;
  read::v1::StreamRollupsRequest request;
  request.set_parent(parent);
  const auto reader = backend.read().StreamRollups(&context, request);
  std::vector<read::v1::StreamRollupsResponse> frames;
  read::v1::StreamRollupsResponse frame;
  while (reader->Read(&frame)) frames.push_back(frame);
  EXPECT_TRUE(reader->Finish().ok());
  return frames;
}

TEST_F(ReadServiceTest, no_rollups_are_made__then_the_end_says_how_far_the_chunks_are) {
  const std::vector<read::v1::StreamRollupsResponse> frames =
      Rollups(backend_, NameOf(kRecordings));
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].end().rollups(), 0u);
  EXPECT_EQ(frames[0].end().last_chunk_position(), 3u);
}

TEST(ReadService, rollups_are_made__then_they_come_before_an_end_that_has_all) {
  BackendConfig config = TestConfig();
  config.rollups = true;
  LoopbackBackend backend(config);
  TestProducer producer(backend);
  producer.Greet();
  ingest::v1::Batch batch;
  batch.set_sequence(1);
  *batch.add_items()->mutable_recording() = TestRecording(TestRecordingId(1));
  batch.add_items()->mutable_chunk()->set_data(TestChunk(TestRecordingId(1), 0));
  batch.add_items()->mutable_chunk()->set_data(TestChunk(TestRecordingId(1), 1));
  producer.Send(batch);
  EXPECT_EQ(producer.Next().ack().durable_sequence(), 1u);
  backend.server().WaitForRollups();
  const std::vector<read::v1::StreamRollupsResponse> frames = Rollups(backend, NameOf(1));
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(frames[1].rollup().position(), 2u);
  EXPECT_GE(frames[1].rollup().calls(), 100u);
  EXPECT_EQ(frames[2].end().last_position(), frames[2].end().last_chunk_position());
}

void Delete(LoopbackBackend& backend, const std::string& name) {
  grpc::ClientContext context;
  read::v1::DeleteRecordingRequest request;
  request.set_name(name);
  google::protobuf::Empty empty;
  ASSERT_TRUE(backend.read().DeleteRecording(&context, request, &empty).ok());
}

// Of a client that takes little ahead of what is read.
std::unique_ptr<read::v1::ReadService::Stub> SlowReader(LoopbackBackend& backend) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 1024);
  return read::v1::ReadService::NewStub(grpc::CreateCustomChannel(
      backend.server().address(), grpc::InsecureChannelCredentials(), arguments));
}

TEST_F(ReadServiceTest, recording_is_deleted_while_its_functions_are_read__then_ABORTED) {
  TestProducer producer(backend_);
  producer.Greet(1, "another");
  for (uint64_t part = 0; part < kManyTables; ++part) {
    ingest::v1::Batch batch;
    batch.set_sequence(part + 1);
    for (int i = 1; i <= kFunctions / 2; ++i) AddFunction(batch, part * kFunctions + i);
    producer.Send(batch);
    ASSERT_EQ(producer.Next().ack().durable_sequence(), part + 1);
  }
  grpc::ClientContext context;
  read::v1::StreamFunctionsRequest request;
  request.set_parent(NameOf(kRecordings));
  const auto slow = SlowReader(backend_);
  const auto reader = slow->StreamFunctions(&context, request);
  read::v1::StreamFunctionsResponse response;
  // Most of them wait for this reader.
  ASSERT_TRUE(reader->Read(&response));
  Delete(backend_, NameOf(kRecordings));
  while (reader->Read(&response)) continue;
  EXPECT_EQ(reader->Finish().error_code(), grpc::ABORTED);
}

TEST(ReadService, recording_is_deleted_while_its_rollups_are_read__then_ABORTED) {
  BackendConfig config = TestConfig();
  config.rollups = true;
  LoopbackBackend backend(config);
  TestProducer producer(backend);
  producer.Greet();
  ingest::v1::Batch batch;
  *batch.add_items()->mutable_recording() = TestRecording(TestRecordingId(1));
  for (uint64_t i = 0; i < kManyChunks; ++i) {
    batch.set_sequence(i + 1);
    batch.add_items()->mutable_chunk()->set_data(
        TestChunk(TestRecordingId(1), i, 0xa, i, kManyCalls));
    producer.Send(batch);
    batch.clear_items();
    ASSERT_EQ(producer.Next().ack().durable_sequence(), i + 1);
  }
  backend.server().WaitForRollups();
  ASSERT_EQ(Rollups(backend, NameOf(1)).size(), kManyChunks + 1);
  grpc::ClientContext context;
  read::v1::StreamRollupsRequest request;
  request.set_parent(NameOf(1));
  const auto slow = SlowReader(backend);
  const auto reader = slow->StreamRollups(&context, request);
  read::v1::StreamRollupsResponse frame;
  // Most of them wait for this reader.
  ASSERT_TRUE(reader->Read(&frame));
  Delete(backend, NameOf(1));
  while (reader->Read(&frame)) EXPECT_FALSE(frame.has_end());
  EXPECT_EQ(reader->Finish().error_code(), grpc::ABORTED);
}

TEST_F(ReadServiceTest, recording_is_deleted__then_it_is_not_found) {
  Delete(backend_, NameOf(2));
  trace::v1::Recording recording;
  EXPECT_EQ(Get(NameOf(2), recording).error_code(), grpc::NOT_FOUND);
}

}  // namespace
}  // namespace flightrec::backend
