// The query engine as a server: the only place that makes its parts and joins
// them. Started and drained by one thread.
#ifndef SERVICES_QUERY_ENGINE_QUERY_SERVER_H_
#define SERVICES_QUERY_ENGINE_QUERY_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "services/query_engine/config.h"

namespace flightrec::query_engine {

class QueryServer {
 public:
  // Serves when it returns. UNAVAILABLE when the address is taken; a backend
  // that is down is no error. `logger` and `registry` outlive the server.
  static absl::StatusOr<std::unique_ptr<QueryServer>> Start(const FinalizedConfig& config,
                                                            log::Logger* logger,
                                                            metrics::Registry* registry);
  ~QueryServer();
  QueryServer(const QueryServer&) = delete;
  QueryServer& operator=(const QueryServer&) = delete;

  // What a client on this machine dials.
  std::string address() const;

  // Lets running calls finish, up to the configured deadline. Idempotent.
  void Drain();

 private:
  class Parts;
  explicit QueryServer(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_QUERY_SERVER_H_
