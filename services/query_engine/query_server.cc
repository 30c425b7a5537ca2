#include "services/query_engine/query_server.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "common/clock/clock.h"
#include "common/rpc/channel.h"
#include "common/rpc/server.h"
#include "services/query_engine/catalog/recording_cache.h"
#include "services/query_engine/engine/query_watch.h"
#include "services/query_engine/query_service.h"
#include "services/query_engine/source/backend_client.h"
#include "services/query_engine/source/backend_probe.h"

namespace flightrec::query_engine {
namespace {

constexpr char kServiceName[] = "flightrec.query.v1.QueryService";
constexpr char kBackendHealth[] = "dependency/backend";

CacheLimits CacheLimitsOf(const Config& config) {
  return {
      .recordings = config.cached_recordings,
      .bytes = config.cached_bytes,
      .database = {.memory_bytes = config.memory_limit_bytes, .threads = config.engine_threads}};
}

SqlLimits SqlLimitsOf(const Config& config) {
  return {.default_rows = config.default_rows,
          .max_rows = config.max_rows,
          .default_timeout = config.default_timeout,
          .max_timeout = config.max_timeout,
          .max_statements = config.max_statements};
}

}  // namespace

// Destroyed from the last to the first: the server ends before what it uses.
class QueryServer::Parts {
 public:
  Parts(const FinalizedConfig& config, std::shared_ptr<grpc::Channel> channel, log::Logger* logger,
        metrics::Registry* registry)
      : backend_(channel, config.config().backend, config.config().load_timeout),
        cache_(backend_, CacheLimitsOf(config.config()), *registry),
        watch_(clock::RealClock()),
        service_(backend_, cache_, watch_, SqlLimitsOf(config.config())),
        server_(config.server(), "query_engine", logger, registry),
        channel_(std::move(channel)),
        logger_(logger) {
    server_.Register(&service_, kServiceName);
  }

  absl::Status Start() {
    if (absl::Status status = server_.Start(); !status.ok()) return status;
    probe_ = std::make_unique<BackendProbe>(channel_, [this](bool reachable) {
      server_.SetServing(kBackendHealth, reachable);
      if (reachable) {
        logger_->Info("backend_reachable", {{"address", backend_.address()}});
      } else {
        logger_->Warning("backend_unreachable", {{"address", backend_.address()}});
      }
    });
    return absl::OkStatus();
  }

  void Drain() {
    probe_.reset();
    server_.Drain();
  }

  std::string address() const { return server_.address(); }

 private:
  BackendClient backend_;
  RecordingCache cache_;
  QueryWatch watch_;
  QueryService service_;
  rpc::Server server_;
  const std::shared_ptr<grpc::Channel> channel_;
  log::Logger* const logger_;
  std::unique_ptr<BackendProbe> probe_;
};

absl::StatusOr<std::unique_ptr<QueryServer>> QueryServer::Start(const FinalizedConfig& config,
                                                                log::Logger* logger,
                                                                metrics::Registry* registry) {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
      rpc::MakeChannel(config.config().backend, config.config().backend_channel);
  if (!channel.ok()) return channel.status();
  auto parts = std::make_unique<Parts>(config, *std::move(channel), logger, registry);
  if (absl::Status status = parts->Start(); !status.ok()) return status;
  return std::unique_ptr<QueryServer>(new QueryServer(std::move(parts)));
}

QueryServer::QueryServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
QueryServer::~QueryServer() { Drain(); }
std::string QueryServer::address() const { return parts_->address(); }
void QueryServer::Drain() { parts_->Drain(); }

}  // namespace flightrec::query_engine
