// Puts an Authenticator in front of every call of a gRPC server and counts what
// passes and what is refused. Runs on gRPC's threads, before any handler. Used
// by server.cc only.
#ifndef FLIGHTREC_COMMON_RPC_CALL_GATE_H_
#define FLIGHTREC_COMMON_RPC_CALL_GATE_H_

#include <grpcpp/security/auth_metadata_processor.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/metrics/registry.h"
#include "common/rpc/authenticator.h"

namespace flightrec::rpc {

class CallGate : public grpc::AuthMetadataProcessor {
 public:
  // Both outlive the gRPC server. `services` get a counter each; calls to
  // others (health, reflection, unknown) share one.
  CallGate(const Authenticator* authenticator, metrics::Registry* registry,
           const std::vector<std::string>& services);

  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context,
                       OutputMetadata* consumed, OutputMetadata* response) override;

 private:
  metrics::Counter& CounterFor(absl::string_view path);

  const Authenticator* const authenticator_;
  // Keyed by "/package.Service/".
  std::vector<std::pair<std::string, metrics::Counter*>> started_;
  metrics::Counter& started_other_;
  metrics::Counter& unauthenticated_;
  metrics::Counter& denied_;
};

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_CALL_GATE_H_
