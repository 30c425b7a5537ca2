#include "services/flightrec/all_in_one.h"

#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/private_directory/private_directory.h"

namespace flightrec::cli {
namespace {

// sockaddr_un takes 107 bytes; a store with a longer path is served on a port of loopback.
constexpr size_t kMaxSocketPath = 100;

// Where all of them are.
std::string StateDirectories(const AllInOneConfig& config) {
  if (config.state_directory.empty()) return tracer::DefaultStateDirectory();
  return std::filesystem::absolute(config.state_directory).lexically_normal().string();
}

std::string OwnStateDirectory(const AllInOneConfig& config) {
  return absl::StrCat(StateDirectories(config), "/", getpid());
}

}  // namespace

absl::StatusOr<std::unique_ptr<AllInOne>> AllInOne::Start(const AllInOneConfig& config,
                                                          log::Logger* logger,
                                                          metrics::Registry* registry) {
  // Recordings hold what programs did: nobody else may look. CURRENT is a file of every store.
  absl::Status made = MakePrivateDirectory(config.store, "--store", "CURRENT");
  if (!made.ok()) return made;
  std::unique_ptr<AllInOne> services(new AllInOne(config, logger, registry));
  absl::Status started = config.backend.empty() ? services->StartBackend() : absl::OkStatus();
  if (started.ok() && config.query) started = services->StartQuery();
  if (started.ok() && config.tracer) started = services->StartTracer();
  if (started.ok() && config.mcp) started = services->StartMcp();
  // The file comes last: who reads it may call at once.
  if (started.ok() && services->backend_ != nullptr) {
    started = rpc::WriteEndpointFile(config.store, services->endpoints_);
  }
  if (!started.ok()) return started;
  return services;
}

AllInOne::AllInOne(AllInOneConfig config, log::Logger* logger, metrics::Registry* registry)
    : config_(std::move(config)), logger_(logger), registry_(registry) {
  endpoints_.backend = config_.backend;
  endpoints_.started = absl::Now();
}

AllInOne::~AllInOne() { Drain(); }

rpc::ServerConfig AllInOne::ServerFor(const std::string& name, const std::string& listen) const {
  rpc::ServerConfig server;
  const std::string socket = absl::StrCat(config_.store, "/", name, ".sock");
  if (!listen.empty()) {
    server.listen = listen;
  } else if (socket.size() <= kMaxSocketPath) {
    server.listen = absl::StrCat("unix:", std::filesystem::absolute(socket).string());
  }
  return server;
}

absl::Status AllInOne::StartBackend() {
  backend::BackendConfig config;
  // A command that ends soon leaves them to the process that stays.
  config.rollups = config_.mcp;
  config.store_directory = config_.store;
  // Written here when all services have their addresses.
  config.write_endpoint_file = false;
  config.server = ServerFor(
      "backend", endpoints_.backend.empty() ? config_.listen.backend : endpoints_.backend);
  absl::StatusOr<backend::FinalizedBackendConfig> finalized = backend::Finalize(config);
  if (!finalized.ok()) return finalized.status();
  absl::StatusOr<std::unique_ptr<backend::BackendServer>> server =
      backend::BackendServer::Start(*finalized, logger_, registry_);
  if (!server.ok()) return server.status();
  backend_ = *std::move(server);
  endpoints_.backend = backend_->address();
  return absl::OkStatus();
}

absl::Status AllInOne::StartQuery() {
  query_engine::Config config;
  config.backend = endpoints_.backend;
  config.server = ServerFor(absl::StrCat("query-", getpid()), config_.listen.query);
  if (config_.memory_limit_mb > 0) config.memory_limit_bytes = config_.memory_limit_mb << 20;
  absl::StatusOr<query_engine::FinalizedConfig> finalized = query_engine::Finalize(config);
  if (!finalized.ok()) return finalized.status();
  absl::StatusOr<std::unique_ptr<query_engine::QueryServer>> server =
      query_engine::QueryServer::Start(*finalized, logger_, registry_);
  if (!server.ok()) return server.status();
  query_ = *std::move(server);
  endpoints_.query = query_->address();
  return absl::OkStatus();
}

absl::Status AllInOne::StartTracer() {
  tracer::TracerConfig config;
  config.backend = endpoints_.backend;
  config.server = ServerFor(absl::StrCat("tracer-", getpid()), config_.listen.tracer);
  config.state_directory = OwnStateDirectory(config_);
  if (config_.recover) config.neighbours = StateDirectories(config_);
  config.clean = config_.clean;
  // The address of a store's backend may be another the next time.
  if (!config_.other_store) {
    const auto store = std::filesystem::absolute(config_.store).lexically_normal();
    config.destination = absl::StrCat("store ", store.string());
  }
  config.inherited_descriptors = config_.inherited_descriptors;
  if (config_.max_threads > 0) config.limits.threads = config_.max_threads;
  if (config_.lane_bytes > 0) config.limits.ring_bytes = config_.lane_bytes;
  absl::StatusOr<tracer::FinalizedTracerConfig> finalized = tracer::Finalize(config);
  if (!finalized.ok()) return finalized.status();
  absl::StatusOr<std::unique_ptr<tracer::TracerServer>> server =
      tracer::TracerServer::Start(*finalized, logger_, registry_);
  if (!server.ok()) return server.status();
  tracer_ = *std::move(server);
  endpoints_.tracer = tracer_->address();
  endpoints_.control_token_file = tracer_->control_token_file();
  return absl::OkStatus();
}

absl::Status AllInOne::StartMcp() {
  mcp_bridge::McpBridgeConfig config;
  config.query = endpoints_.query;
  absl::StatusOr<rpc::FinalizedServerConfig> server_config =
      rpc::Finalize(ServerFor("mcp", config_.listen.mcp));
  if (!server_config.ok()) return server_config.status();
  absl::StatusOr<std::unique_ptr<mcp_bridge::McpBridgeServer>> bridge =
      mcp_bridge::McpBridgeServer::Create(config, *server_config, logger_, registry_);
  if (!bridge.ok()) return bridge.status();
  mcp_ = *std::move(bridge);
  absl::Status started = mcp_->server().Start();
  endpoints_.mcp = mcp_->server().address();
  return started;
}

absl::Status AllInOne::TakeOverBackend() {
  absl::Status started = StartBackend();
  if (!started.ok()) return started;
  return rpc::WriteEndpointFile(config_.store, endpoints_);
}

void AllInOne::Drain() {
  if (mcp_ != nullptr) mcp_->server().Drain();
  if (query_ != nullptr) query_->Drain();
  if (tracer_ != nullptr) tracer_->Drain();
  mcp_.reset();
  query_.reset();
  tracer_.reset();
  // The tracer's own by its name. Already gone, or it never was: nothing to do.
  if (config_.tracer) rmdir(OwnStateDirectory(config_).c_str());
  if (backend_ == nullptr) return;
  // First the file, so that nobody is sent here any more. A stale one is recognised by its process
  // having gone.
  absl::Status removed = rpc::RemoveEndpointFile(config_.store);
  if (!removed.ok()) logger_->Warning("endpoint_file_kept", {{"error", removed}});
  backend_->Drain();
  backend_.reset();
}

}  // namespace flightrec::cli
