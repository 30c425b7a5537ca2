// The one way a flightrec process serves gRPC: health, reflection, channelz,
// authentication of every call, keepalive, limits, metrics port and graceful
// drain. Built and driven by one thread; SetServing may come from any thread
// after Start. Owns neither the services nor the logger nor the registry: they
// outlive it.
//
//   Server server(config, "query_engine", &logger, &registry);
//   server.Register(&service, "flightrec.query.v1.QueryService");
//   return server.Run();                // main: until SIGTERM or SIGINT
//
// In the all-in-one: Start(), address(), and Drain() at the end.
#ifndef FLIGHTREC_COMMON_RPC_SERVER_H_
#define FLIGHTREC_COMMON_RPC_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/log/logger.h"
#include "common/metrics/http_server.h"
#include "common/metrics/registry.h"
#include "common/rpc/authenticator.h"
#include "common/rpc/dependency_watch.h"
#include "common/rpc/server_config.h"

namespace flightrec::rpc {

class Server {
 public:
  Server(FinalizedServerConfig config, absl::string_view name, log::Logger* logger,
         metrics::Registry* registry);
  // Drains with the configured deadline if that has not happened.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Before Start. `full_name` is "package.Service"; it is SERVING from Start.
  void Register(grpc::Service* service, absl::string_view full_name);
  // Before Start: rules and control tokens. Later: Identify.
  Authenticator& authenticator() { return authenticator_; }

  // Before Start: called once when a drain begins, before calls are waited for.
  // The place to end streams that would otherwise stay open (tails, watches).
  void OnDrain(std::function<void()> callback);

  // Before Start: the health name "dependency/NAME" and the metric
  // flightrec_dependency_up then follow the state of `channel`.
  void WatchDependency(absl::string_view name, std::shared_ptr<grpc::Channel> channel);

  // Binds and serves. UNAVAILABLE when the address is taken.
  absl::Status Start();

  // The bound port, 0 for a unix socket. After Start.
  int port() const { return port_; }
  // What a client in this machine dials: "127.0.0.1:7073", "unix:/path".
  std::string address() const;
  // 0 when metrics are off.
  int metrics_port() const;

  // `health_name` is a service's full name, or "dependency/NAME" for a peer.
  // The overall status "" says only that this process answers.
  void SetServing(absl::string_view health_name, bool serving);

  // Health turns NOT_SERVING, new calls are refused, running ones may finish
  // until `deadline` from now, then they are cancelled. Idempotent.
  void Drain(absl::Duration deadline);
  void Drain() { Drain(config_.config().drain_deadline); }

  // Start, wait for SIGTERM or SIGINT, drain. For a process that is only this
  // server; several servers in one process share a ShutdownSignal instead.
  absl::Status Run();

 private:
  struct Registration {
    grpc::Service* service;
    std::string full_name;
  };

  struct Dependency {
    std::string name;
    std::shared_ptr<grpc::Channel> channel;
  };

  std::shared_ptr<grpc::ServerCredentials> Credentials();
  void SetLimits(grpc::ServerBuilder& builder) const;
  absl::Status StartMetrics();
  void StartWatches();

  const FinalizedServerConfig config_;
  const std::string name_;
  log::Logger* const logger_;
  metrics::Registry* const registry_;
  Authenticator authenticator_;
  std::vector<Registration> registrations_;
  std::vector<Dependency> dependencies_;
  std::vector<std::function<void()>> drain_callbacks_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<metrics::HttpServer> metrics_server_;
  // Only while server_ serves.
  std::vector<std::unique_ptr<DependencyWatch>> watches_;
  int port_ = 0;
  bool drained_ = false;
};

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_SERVER_H_
