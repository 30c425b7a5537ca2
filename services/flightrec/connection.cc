#include "services/flightrec/connection.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace flightrec::cli {
namespace {

// Two commands started together: the slower one waits this long for the faster one to say where it
// listens.
constexpr absl::Duration kOwnerAppears = absl::Seconds(10);
constexpr absl::Duration kLookAgain = absl::Milliseconds(50);

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const CommandLine& line, Need need,
                                                             log::Logger* logger,
                                                             metrics::Registry* registry) {
  std::unique_ptr<Connection> connection(new Connection(line, logger, registry));
  const absl::Time give_up = absl::Now() + kOwnerAppears;
  while (true) {
    absl::Status started = connection->Start(need);
    if (started.ok()) return connection;
    // Somebody holds the store's lock; its endpoint file may be a moment behind.
    if (started.code() != absl::StatusCode::kFailedPrecondition || absl::Now() > give_up)
      return started;
    absl::SleepFor(kLookAgain);
  }
}

Connection::Connection(const CommandLine& line, log::Logger* logger, metrics::Registry* registry)
    : line_(line), logger_(logger), registry_(registry) {}

Connection::~Connection() {
  if (own_ != nullptr) own_->Drain();
}

absl::Status Connection::FindTracer(const absl::StatusOr<rpc::Endpoints>& owner) {
  if (!line_.tracer.empty()) return absl::OkStatus();
  if (!owner.ok() || owner->tracer.empty()) {
    return absl::NotFoundError(absl::StrCat(
        "nothing is being recorded into ", line_.store,
        " by the process that owns it; name the tracer: --tracer=HOST:PORT --control_token_file"));
  }
  endpoints_.tracer = owner->tracer;
  endpoints_.control_token_file = owner->control_token_file;
  return absl::OkStatus();
}

absl::Status Connection::Start(Need need) {
  endpoints_ = rpc::Endpoints();
  const absl::StatusOr<rpc::Endpoints> owner = rpc::ReadEndpointFile(line_.store);
  if (owner.ok()) endpoints_ = *owner;
  if (!line_.backend.empty()) endpoints_.backend = line_.backend;
  if (!line_.query.empty()) endpoints_.query = line_.query;
  // A tracer's program runs where the tracer runs; only one that was asked for is used.
  endpoints_.tracer = line_.tracer;
  endpoints_.control_token_file = line_.control_token_file;
  if (need == Need::kRunningTracer) return FindTracer(owner);

  AllInOneConfig config;
  config.store = line_.store;
  config.backend = endpoints_.backend;
  config.other_store = !line_.backend.empty();
  config.state_directory = line_.state_directory;
  // Those that only look change nothing in what is recorded.
  config.recover = line_.command != Command::kPlan && line_.command != Command::kPs;
  config.clean = line_.command == Command::kClean;
  config.query = need == Need::kQuery && endpoints_.query.empty();
  config.tracer = need == Need::kCapture && (endpoints_.tracer.empty() || config.clean);
  config.inherited_descriptors = line_.inherited_descriptors;
  config.max_threads = line_.max_threads;
  config.lane_bytes = line_.lane_bytes;
  config.memory_limit_mb = line_.memory_limit_mb;
  const bool backend = need == Need::kBackend && endpoints_.backend.empty();
  if (!config.query && !config.tracer && !backend) return absl::OkStatus();

  absl::StatusOr<std::unique_ptr<AllInOne>> own = AllInOne::Start(config, logger_, registry_);
  if (!own.ok()) return own.status();
  own_ = *std::move(own);
  store_is_ours_ = config.backend.empty();
  endpoints_.backend = own_->endpoints().backend;
  if (config.query) endpoints_.query = own_->endpoints().query;
  if (config.tracer) {
    endpoints_.tracer = own_->endpoints().tracer;
    endpoints_.control_token_file = own_->endpoints().control_token_file;
  }
  return absl::OkStatus();
}

rpc::ChannelConfig Connection::Channel(const std::string& token_file) const {
  rpc::ChannelConfig config;
  config.tls_ca = line_.tls_ca;
  config.token_file = token_file;
  return config;
}

absl::StatusOr<std::unique_ptr<query::v1::QueryService::Stub>> Connection::Query() {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
      rpc::MakeChannel(endpoints_.query, Channel(line_.token_file));
  if (!channel.ok()) return channel.status();
  return query::v1::QueryService::NewStub(*channel);
}

absl::StatusOr<std::unique_ptr<capture::v1::CaptureService::Stub>> Connection::Capture() {
  if (endpoints_.control_token_file.empty()) {
    return absl::UnauthenticatedError(
        absl::StrCat("the tracer at ", endpoints_.tracer,
                     " starts programs only for those who can read its control token: add "
                     "--control_token_file=FILE"));
  }
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
      rpc::MakeChannel(endpoints_.tracer, Channel(endpoints_.control_token_file));
  if (!channel.ok()) return channel.status();
  return capture::v1::CaptureService::NewStub(*channel);
}

absl::StatusOr<std::unique_ptr<admin::v1::AdminService::Stub>> Connection::Admin() {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
      rpc::MakeChannel(endpoints_.backend, Channel(line_.token_file));
  if (!channel.ok()) return channel.status();
  return admin::v1::AdminService::NewStub(*channel);
}

absl::StatusOr<std::unique_ptr<read::v1::ReadService::Stub>> Connection::Read() {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
      rpc::MakeChannel(endpoints_.backend, Channel(line_.token_file));
  if (!channel.ok()) return channel.status();
  return read::v1::ReadService::NewStub(*channel);
}

absl::StatusOr<std::unique_ptr<ingest::v1::IngestService::Stub>> Connection::Ingest() {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
      rpc::MakeChannel(endpoints_.backend, Channel(line_.token_file));
  if (!channel.ok()) return channel.status();
  return ingest::v1::IngestService::NewStub(*channel);
}

absl::Status Connection::ReplaceLostBackend() {
  if (store_is_ours_ || own_ == nullptr || !line_.backend.empty()) return absl::OkStatus();
  if (rpc::ReadEndpointFile(line_.store).ok()) return absl::OkStatus();
  absl::Status taken = own_->TakeOverBackend();
  store_is_ours_ = taken.ok();
  // A third process was faster; the stream finds it at the same address.
  return taken.code() == absl::StatusCode::kFailedPrecondition ? absl::OkStatus() : taken;
}

}  // namespace flightrec::cli
