// Reads recordings out of the backend over gRPC.
//
// Thread-safe. Holds nothing between calls; does not retry and does not decode
// chunks.
#ifndef SERVICES_QUERY_ENGINE_SOURCE_BACKEND_CLIENT_H_
#define SERVICES_QUERY_ENGINE_SOURCE_BACKEND_CLIENT_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "flightrec/read/v1/read.grpc.pb.h"
#include "flightrec/trace/v1/trace.pb.h"

namespace flightrec::query_engine {

struct RecordingPage {
  std::vector<trace::v1::Recording> recordings;
  std::string next_page_token;
};

class BackendClient {
 public:
  // Of answers that are one message.
  static constexpr absl::Duration kUnaryTimeout = absl::Seconds(10);

  // `address` is named in errors. Streams may take `stream_timeout`.
  BackendClient(std::shared_ptr<grpc::Channel> channel, std::string address,
                absl::Duration stream_timeout);

  // Every method: UNAVAILABLE names the address; other errors are the
  // backend's own, with their details.
  absl::StatusOr<RecordingPage> ListRecordings(int32_t page_size, const std::string& page_token,
                                               const std::string& filter);
  absl::StatusOr<trace::v1::Recording> GetRecording(const std::string& name);
  absl::StatusOr<std::vector<trace::v1::Process>> ListProcesses(const std::string& recording);
  absl::StatusOr<std::vector<trace::v1::Thread>> ListThreads(const std::string& recording);

  using FunctionConsumer = std::function<absl::Status(const trace::v1::Function&)>;
  absl::Status ReadFunctions(const std::string& recording, const FunctionConsumer& consume);

  // Gives the bytes of every index chunk; returns the position after which
  // newer ones are found. DATA_LOSS when the answer has no end.
  using ChunkConsumer = std::function<absl::Status(const std::string&)>;
  absl::StatusOr<uint64_t> ReadChunks(const std::string& recording, const ChunkConsumer& consume);

  // Whether there are index chunks after `position`.
  absl::StatusOr<bool> HasChunksAfter(const std::string& recording, uint64_t position);

  const std::string& address() const { return address_; }

 private:
  absl::Status Explain(const grpc::Status& status) const;

  const std::string address_;
  const absl::Duration stream_timeout_;
  const std::unique_ptr<read::v1::ReadService::Stub> stub_;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_SOURCE_BACKEND_CLIENT_H_
