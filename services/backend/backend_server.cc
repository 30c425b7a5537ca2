#include "services/backend/backend_server.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/clock/clock.h"
#include "common/rpc/endpoint_file.h"
#include "common/rpc/status.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {
namespace {

// Adds where the owner listens, if it says so, and what to do.
absl::Status ExplainOwned(const absl::Status& status, const std::string& store) {
  if (!absl::IsFailedPrecondition(status)) return status;
  absl::StatusOr<rpc::Endpoints> endpoints = rpc::ReadEndpointFile(store);
  if (!endpoints.ok() || endpoints->backend.empty()) return status;
  return rpc::WithReason(absl::FailedPreconditionError(
                             absl::StrCat(status.message(), " at endpoint ", endpoints->backend)),
                         "STORE_OWNED", "use that backend, stop it, or name another --store");
}

void LogOpened(const Database& database, log::Logger& logger) {
  if (!database.interrupted_write().empty()) {
    logger.Warning("interrupted_write_dropped", {{"place", database.interrupted_write()}});
  }
  if (database.opened_format_version() < kStoreFormatVersion) {
    logger.Info("store_migrated", {{"from_version", database.opened_format_version()},
                                   {"to_version", kStoreFormatVersion}});
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<BackendServer>> BackendServer::Start(
    const FinalizedBackendConfig& config, log::Logger* logger, metrics::Registry* registry,
    const DatabaseOptions& database_options, clock::Clock& clock) {
  absl::StatusOr<std::unique_ptr<Store>> store =
      Store::Open(config.store_directory(), clock, *registry, database_options,
                  static_cast<uint64_t>(config.ingest().max_recordings));
  if (!store.ok()) return ExplainOwned(store.status(), config.store_directory());
  LogOpened((*store)->database(), *logger);
  std::unique_ptr<BackendServer> backend(
      new BackendServer(config, *std::move(store), logger, registry, clock));
  if (absl::Status status = backend->Serve(); !status.ok()) return status;
  return backend;
}

BackendServer::BackendServer(const FinalizedBackendConfig& config, std::unique_ptr<Store> store,
                             log::Logger* logger, metrics::Registry* registry, clock::Clock& clock)
    : config_(config),
      logger_(logger),
      registry_(*registry),
      store_(std::move(store)),
      server_(config.server(), "backend", logger, registry),
      ingest_service_(*store_, config.ingest(), server_.authenticator(), *logger, *registry),
      read_service_(*store_, config.read(), config.retention().undelete_window,
                    server_.authenticator(), *logger, *registry),
      admin_service_(*store_, server_.authenticator(), *logger, *registry),
      retention_(*store_, config.retention(), clock, *logger, *registry) {}

absl::Status BackendServer::Serve() {
  server_.authenticator().RequireRole("/flightrec.ingest.v1.IngestService/", rpc::Role::kWrite);
  server_.authenticator().RequireRole("/flightrec.read.v1.ReadService/", rpc::Role::kRead);
  server_.authenticator().RequireRole("/flightrec.read.v1.ReadService/DeleteRecording",
                                      rpc::Role::kAdmin);
  server_.authenticator().RequireRole("/flightrec.read.v1.ReadService/UndeleteRecording",
                                      rpc::Role::kAdmin);
  server_.authenticator().RequireRole("/flightrec.admin.v1.AdminService/", rpc::Role::kAdmin);
  server_.Register(&ingest_service_, "flightrec.ingest.v1.IngestService");
  server_.Register(&read_service_, "flightrec.read.v1.ReadService");
  server_.Register(&admin_service_, "flightrec.admin.v1.AdminService");
  if (absl::Status status = server_.Start(); !status.ok()) return status;
  if (config_.rollups()) store_->StartRollups(registry_);
  serving_ = true;
  retention_.Start();
  if (!config_.write_endpoint_file()) return absl::OkStatus();
  rpc::Endpoints endpoints;
  endpoints.backend = address();
  endpoints.started = absl::Now();
  return rpc::WriteEndpointFile(config_.store_directory(), endpoints);
}

void BackendServer::Drain() {
  if (!std::exchange(serving_, false)) return;
  if (config_.write_endpoint_file()) {
    absl::Status removed = rpc::RemoveEndpointFile(config_.store_directory());
    if (!removed.ok()) logger_->Warning("endpoint_file_not_removed", {{"status", removed}});
  }
  ingest_service_.Drain();
  read_service_.Drain();
  server_.Drain();
}

BackendServer::~BackendServer() { Drain(); }

}  // namespace flightrec::backend
