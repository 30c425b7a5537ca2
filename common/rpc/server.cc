#include "common/rpc/server.h"

#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/call_gate.h"
#include "common/rpc/grpc_log.h"
#include "common/rpc/listen_address.h"
#include "common/rpc/shutdown_signal.h"
#include "grpc/health/v1/health.pb.h"

namespace flightrec::rpc {
namespace {

// Clients may ping this often while no call runs.
constexpr absl::Duration kMinPingInterval = absl::Seconds(10);
constexpr mode_t kSocketMode = 0600;

// By this section a tracer knows a service's own process: services/tracer/host/elf_kind.h.
__attribute__((used, retain, section(".flightrec_service"))) const char kServiceMark[] =
    "flightrec";

// gRPC keeps these in process-wide lists that every later server uses.
void EnablePluginsOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::channelz::experimental::InitChannelzService();
    // gRPC serves health without this descriptor, so reflection could not describe it.
    grpc::health::v1::HealthCheckRequest::descriptor();
  });
}

}  // namespace

Server::Server(FinalizedServerConfig config, absl::string_view name, log::Logger* logger,
               metrics::Registry* registry)
    : config_(std::move(config)),
      name_(name),
      logger_(logger),
      registry_(registry),
      authenticator_(config_.tokens()) {}

Server::~Server() { Drain(); }

void Server::Register(grpc::Service* service, absl::string_view full_name) {
  registrations_.push_back({service, std::string(full_name)});
}

void Server::OnDrain(std::function<void()> callback) {
  drain_callbacks_.push_back(std::move(callback));
}

void Server::WatchDependency(absl::string_view name, std::shared_ptr<grpc::Channel> channel) {
  dependencies_.push_back({std::string(name), std::move(channel)});
}

void Server::StartWatches() {
  for (const Dependency& d : dependencies_) {
    metrics::Gauge& gauge =
        registry_->AddGauge("flightrec_dependency_up", "1 while the peer is connected, else 0.",
                            {{"service", name_}, {"dependency", d.name}});
    const auto report = [this, &gauge, name = d.name](bool up) {
      gauge.Set(up ? 1 : 0);
      SetServing(absl::StrCat("dependency/", name), up);
      logger_->Info("dependency", {{"name", name}, {"up", up}});
    };
    watches_.push_back(std::make_unique<DependencyWatch>(d.channel, report));
  }
}

std::shared_ptr<grpc::ServerCredentials> Server::Credentials() {
  std::shared_ptr<grpc::ServerCredentials> credentials;
  if (config_.has_tls()) {
    const TlsMaterial& tls = config_.tls();
    grpc::SslServerCredentialsOptions options(
        tls.client_ca_pem.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                  : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_key_cert_pairs.push_back({tls.key_pem, tls.cert_pem});
    options.pem_root_certs = tls.client_ca_pem;
    credentials = grpc::SslServerCredentials(options);
  } else {
    // Plain text on the wire like InsecureServerCredentials, but a peer beyond
    // this machine is turned away and calls can be authenticated.
    credentials = grpc::experimental::LocalServerCredentials(config_.is_unix() ? UDS : LOCAL_TCP);
  }
  std::vector<std::string> names;
  for (const Registration& r : registrations_) names.push_back(r.full_name);
  credentials->SetAuthMetadataProcessor(
      std::make_shared<CallGate>(&authenticator_, registry_, names));
  return credentials;
}

void Server::SetLimits(grpc::ServerBuilder& builder) const {
  const ServerConfig& config = config_.config();
  builder.SetMaxReceiveMessageSize(config.max_message_bytes);
  builder.SetMaxSendMessageSize(config.max_message_bytes);
  const auto millis = [](absl::Duration d) {
    return static_cast<int>(absl::ToInt64Milliseconds(d));
  };
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, config.max_concurrent_streams);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, millis(config.keepalive_time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, millis(config.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             millis(kMinPingInterval));
  // Otherwise two processes could share a port and each get half the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

absl::Status Server::StartMetrics() {
  const std::string& listen = config_.config().metrics_listen;
  if (listen.empty()) return absl::OkStatus();
  absl::StatusOr<ListenAddress> address = ParseListenAddress(listen, "metrics_listen");
  if (!address.ok()) return address.status();
  absl::StatusOr<std::unique_ptr<metrics::HttpServer>> started =
      metrics::HttpServer::Start(address->host, address->port, registry_);
  if (!started.ok()) return started.status();
  metrics_server_ = *std::move(started);
  return absl::OkStatus();
}

absl::Status Server::Start() {
  EnablePluginsOnce();
  if (absl::Status s = StartMetrics(); !s.ok()) return s;
  grpc::ServerBuilder builder;
  SetLimits(builder);
  const std::string& listen = config_.config().listen;
  builder.AddListeningPort(listen, Credentials(), &port_);
  for (const Registration& r : registrations_) {
    builder.RegisterService(r.service);
  }
  // A socket that others could open before its mode is set would be a gap.
  const mode_t old_mask = config_.is_unix() ? umask(0777 & ~kSocketMode) : 0;
  server_ = builder.BuildAndStart();
  if (config_.is_unix()) umask(old_mask);
  if (server_ == nullptr) {
    metrics_server_.reset();
    return absl::UnavailableError(absl::StrCat(name_, " cannot listen on --listen=", listen,
                                               "; is another process using it? See: ss -lntp"));
  }
  if (config_.is_unix()) port_ = 0;
  for (const Registration& r : registrations_) SetServing(r.full_name, true);
  StartWatches();
  logger_->Info("listening", {{"address", address()},
                              {"metrics_port", metrics_port()},
                              {"tls", config_.has_tls()},
                              {"tokens", config_.tokens().size()}});
  return absl::OkStatus();
}

std::string Server::address() const {
  absl::StatusOr<ListenAddress> listen = ParseListenAddress(config_.config().listen, "listen");
  if (!listen.ok()) return config_.config().listen;
  if (listen->is_unix()) return listen->ToString();
  listen->port = port_;
  if (listen->host == "0.0.0.0") listen->host = "127.0.0.1";
  if (listen->host == "::") listen->host = "::1";
  return listen->ToString();
}

int Server::metrics_port() const {
  return metrics_server_ == nullptr ? 0 : metrics_server_->port();
}

void Server::SetServing(absl::string_view health_name, bool serving) {
  if (server_ == nullptr) return;
  server_->GetHealthCheckService()->SetServingStatus(std::string(health_name), serving);
}

void Server::Drain(absl::Duration deadline) {
  if (server_ == nullptr || drained_) return;
  drained_ = true;
  logger_->Info("draining", {{"deadline", deadline}});
  watches_.clear();
  server_->GetHealthCheckService()->Shutdown();
  for (const std::function<void()>& callback : drain_callbacks_) callback();
  const absl::Time begin = absl::Now();
  server_->Shutdown(absl::ToChronoTime(begin + deadline));
  server_->Wait();
  metrics_server_.reset();
  logger_->Info("stopped", {{"drain_time", absl::Now() - begin}});
}

absl::Status Server::Run() {
  ShutdownSignal signal;
  GrpcLogRoute route(logger_);
  if (absl::Status s = Start(); !s.ok()) return s;
  logger_->Info("signal", {{"number", signal.Wait()}});
  Drain();
  return absl::OkStatus();
}

}  // namespace flightrec::rpc
