#include "services/mcp_bridge/mcp_service.h"

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/status.h"
#include "services/mcp_bridge/protocol/session.h"

namespace flightrec::mcp_bridge {

using mcp::transport::v1::SessionRequest;
using mcp::transport::v1::SessionResponse;

McpService::McpService(const Catalog* catalog, metrics::Registry* registry)
    : catalog_(catalog),
      open_(registry->AddGauge("flightrec_mcp_sessions", "Open MCP sessions over gRPC.")) {}

grpc::Status McpService::Session(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<SessionResponse, SessionRequest>* stream) {
  {
    absl::MutexLock lock(&mutex_);
    if (ending_) return rpc::ToGrpcStatus(absl::UnavailableError("the bridge is stopping"));
    if (contexts_.size() == kMaxSessions) {
      return rpc::ToGrpcStatus(absl::ResourceExhaustedError(
          absl::StrCat(kMaxSessions, " sessions are open; close one")));
    }
    contexts_.insert(context);
    open_.Set(static_cast<double>(contexts_.size()));
  }
  absl::Cleanup leave = [this, context] {
    absl::MutexLock lock(&mutex_);
    contexts_.erase(context);
    open_.Set(static_cast<double>(contexts_.size()));
  };
  mcp_bridge::Session session(catalog_, [stream](const std::string& text) {
    SessionResponse response;
    response.set_json(text);
    // A client that has left is noticed by Read.
    stream->Write(response);
  });
  SessionRequest request;
  while (stream->Read(&request)) session.Receive(request.json());
  if (context->IsCancelled()) session.CancelAll();
  session.WaitForCalls();
  return grpc::Status::OK;
}

void McpService::EndSessions() {
  absl::MutexLock lock(&mutex_);
  ending_ = true;
  for (grpc::ServerContext* context : contexts_) context->TryCancel();
}

}  // namespace flightrec::mcp_bridge
