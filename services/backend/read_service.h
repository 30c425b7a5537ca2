// ReadService of the contract: from proto to store and back.
//
// Thread-safe. Reads block on the disk, on gRPC's threads.
#ifndef SERVICES_BACKEND_READ_SERVICE_H_
#define SERVICES_BACKEND_READ_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/authenticator.h"
#include "flightrec/read/v1/read.grpc.pb.h"
#include "services/backend/backend_config.h"
#include "services/backend/read_metrics.h"
#include "services/backend/read_streams.h"
#include "services/backend/resource_resolver.h"
#include "services/backend/store/store.h"
#include "services/backend/tail_service.h"

namespace flightrec::backend {

inline constexpr int kDefaultPageSize = 50;
inline constexpr int kMaxPageSize = 1000;
// Of StreamChunks.
inline constexpr int kMaxFunctionIds = 1000;

class ReadService : public read::v1::ReadService::CallbackService {
 public:
  // All outlive the service.
  ReadService(Store& store, const ReadLimits& limits, absl::Duration undelete_window,
              const rpc::Authenticator& authenticator, log::Logger& logger,
              metrics::Registry& registry);

  // Ends the readers that follow recordings.
  void Drain() { tails_.Drain(); }

  grpc::ServerUnaryReactor* ListRecordings(grpc::CallbackServerContext* context,
                                           const read::v1::ListRecordingsRequest* request,
                                           read::v1::ListRecordingsResponse* response) override;
  grpc::ServerUnaryReactor* GetRecording(grpc::CallbackServerContext* context,
                                         const read::v1::GetRecordingRequest* request,
                                         trace::v1::Recording* response) override;
  grpc::ServerUnaryReactor* ListProcesses(grpc::CallbackServerContext* context,
                                          const read::v1::ListProcessesRequest* request,
                                          read::v1::ListProcessesResponse* response) override;
  grpc::ServerUnaryReactor* ListThreads(grpc::CallbackServerContext* context,
                                        const read::v1::ListThreadsRequest* request,
                                        read::v1::ListThreadsResponse* response) override;
  grpc::ServerWriteReactor<read::v1::StreamFunctionsResponse>* StreamFunctions(
      grpc::CallbackServerContext* context,
      const read::v1::StreamFunctionsRequest* request) override;
  grpc::ServerWriteReactor<read::v1::StreamChunksResponse>* StreamChunks(
      grpc::CallbackServerContext* context, const read::v1::StreamChunksRequest* request) override;
  grpc::ServerWriteReactor<read::v1::TailChunksResponse>* TailChunks(
      grpc::CallbackServerContext* context, const read::v1::TailChunksRequest* request) override;
  grpc::ServerWriteReactor<read::v1::StreamRollupsResponse>* StreamRollups(
      grpc::CallbackServerContext* context, const read::v1::StreamRollupsRequest* request) override;
  grpc::ServerUnaryReactor* DeleteRecording(grpc::CallbackServerContext* context,
                                            const read::v1::DeleteRecordingRequest* request,
                                            google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* UndeleteRecording(grpc::CallbackServerContext* context,
                                              const read::v1::UndeleteRecordingRequest* request,
                                              trace::v1::Recording* response) override;
  grpc::ServerUnaryReactor* ListDeletedRecordings(
      grpc::CallbackServerContext* context, const read::v1::ListDeletedRecordingsRequest* request,
      read::v1::ListDeletedRecordingsResponse* response) override;

 private:
  absl::Status DoListDeletedRecordings(absl::string_view tenant,
                                       const read::v1::ListDeletedRecordingsRequest& request,
                                       read::v1::ListDeletedRecordingsResponse& response) const;
  absl::Status DoListRecordings(absl::string_view tenant,
                                const read::v1::ListRecordingsRequest& request,
                                read::v1::ListRecordingsResponse& response) const;
  absl::Status DoListProcesses(absl::string_view tenant,
                               const read::v1::ListProcessesRequest& request,
                               read::v1::ListProcessesResponse& response) const;
  absl::Status DoListThreads(absl::string_view tenant, const read::v1::ListThreadsRequest& request,
                             read::v1::ListThreadsResponse& response) const;
  absl::StatusOr<ChunkCursor> OpenChunks(const std::string& tenant,
                                         const read::v1::StreamChunksRequest& request) const;

  Store& store_;
  const absl::Duration undelete_window_;
  const rpc::Authenticator& authenticator_;
  log::Logger& logger_;
  ReadMetrics metrics_;
  TailService tails_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_READ_SERVICE_H_
