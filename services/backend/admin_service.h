// AdminService of the contract: checks and copies the store while it is in use.
//
// The whole store belongs to no tenant: tokens of a tenant are refused. Thread-safe. Each call has
// a thread of its own, at most kMaxAdminCalls at once; each is logged.
#ifndef SERVICES_BACKEND_ADMIN_SERVICE_H_
#define SERVICES_BACKEND_ADMIN_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <functional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/authenticator.h"
#include "flightrec/admin/v1/admin.grpc.pb.h"
#include "services/backend/blocking_stream.h"
#include "services/backend/store/store.h"

namespace flightrec::backend {

inline constexpr int kMaxAdminCalls = 2;
inline constexpr size_t kBackUpMessageBytes = size_t{512} << 10;

class AdminService : public admin::v1::AdminService::CallbackService {
 public:
  // All outlive the service.
  AdminService(Store& store, const rpc::Authenticator& authenticator, log::Logger& logger,
               metrics::Registry& registry);

  grpc::ServerWriteReactor<admin::v1::CheckStoreResponse>* CheckStore(
      grpc::CallbackServerContext* context, const admin::v1::CheckStoreRequest* request) override;
  grpc::ServerWriteReactor<admin::v1::BackUpStoreResponse>* BackUpStore(
      grpc::CallbackServerContext* context, const admin::v1::BackUpStoreRequest* request) override;

 private:
  using CheckStream = BlockingStream<admin::v1::CheckStoreResponse>;
  using BackUpStream = BlockingStream<admin::v1::BackUpStoreResponse>;

  // A stream that runs `body` with its beginning and end logged, or one that ends at once.
  template <typename Response>
  grpc::ServerWriteReactor<Response>* Run(
      grpc::CallbackServerContext* context, const char* call,
      std::function<absl::Status(BlockingStream<Response>&)> body);
  absl::Status Check(CheckStream& stream);
  absl::Status BackUp(BackUpStream& stream);
  std::string NewCheckpointDirectory();

  Store& store_;
  const rpc::Authenticator& authenticator_;
  log::Logger& logger_;
  metrics::Counter& damages_;
  metrics::Counter& backups_;
  absl::Mutex mutex_;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  int checkpoints_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_ADMIN_SERVICE_H_
