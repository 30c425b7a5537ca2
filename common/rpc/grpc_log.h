// Sends what the gRPC library itself has to say (a failed bind, a TLS handshake
// that went wrong) through our log instead of its own format on stderr. One
// logger for the process; thread-safe. Does not change what gRPC logs.
#ifndef FLIGHTREC_COMMON_RPC_GRPC_LOG_H_
#define FLIGHTREC_COMMON_RPC_GRPC_LOG_H_

#include "common/log/logger.h"

namespace flightrec::rpc {

// While it lives, gRPC's messages go to `logger`. At most one at a time.
class GrpcLogRoute {
 public:
  explicit GrpcLogRoute(log::Logger* logger);
  ~GrpcLogRoute();
  GrpcLogRoute(const GrpcLogRoute&) = delete;
  GrpcLogRoute& operator=(const GrpcLogRoute&) = delete;
};

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_GRPC_LOG_H_
