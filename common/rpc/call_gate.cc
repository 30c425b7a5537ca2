#include "common/rpc/call_gate.h"

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/status.h"

namespace flightrec::rpc {
namespace {

constexpr char kStarted[] = "flightrec_rpc_started_total";
constexpr char kStartedHelp[] = "Calls let through, by service.";
constexpr char kRefused[] = "flightrec_rpc_refused_total";
constexpr char kRefusedHelp[] = "Calls refused before a handler ran.";

absl::string_view Header(const grpc::AuthMetadataProcessor::InputMetadata& metadata,
                         const char* name) {
  const auto found = metadata.find(name);
  if (found == metadata.end()) return {};
  return {found->second.data(), found->second.size()};
}

}  // namespace

CallGate::CallGate(const Authenticator* authenticator, metrics::Registry* registry,
                   const std::vector<std::string>& services)
    : authenticator_(authenticator),
      started_other_(registry->AddCounter(kStarted, kStartedHelp, {{"rpc_service", "other"}})),
      unauthenticated_(registry->AddCounter(kRefused, kRefusedHelp, {{"code", "UNAUTHENTICATED"}})),
      denied_(registry->AddCounter(kRefused, kRefusedHelp, {{"code", "PERMISSION_DENIED"}})) {
  for (const std::string& service : services) {
    started_.emplace_back(
        absl::StrCat("/", service, "/"),
        &registry->AddCounter(kStarted, kStartedHelp, {{"rpc_service", service}}));
  }
}

grpc::Status CallGate::Process(const InputMetadata& metadata, grpc::AuthContext* /*context*/,
                               OutputMetadata* /*consumed*/, OutputMetadata* /*response*/) {
  const absl::string_view path = Header(metadata, ":path");
  const absl::Status allowed = authenticator_->Check(path, Header(metadata, "authorization"));
  if (allowed.ok()) {
    CounterFor(path).Add();
    return grpc::Status::OK;
  }
  (absl::IsPermissionDenied(allowed) ? denied_ : unauthenticated_).Add();
  return ToGrpcStatus(allowed);
}

metrics::Counter& CallGate::CounterFor(absl::string_view path) {
  for (const auto& [prefix, counter] : started_) {
    if (absl::StartsWith(path, prefix)) return *counter;
  }
  return started_other_;
}

}  // namespace flightrec::rpc
