// One MCP session on the server's side, whatever carries its messages:
// initialize, ping, tools/list, tools/call, cancellation. Tool calls run on
// threads of their own, at most kMaxRunningCalls at a time; the rest is
// answered at once. Receive is called by one thread; `send` by any, one call at
// a time.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_PROTOCOL_SESSION_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_PROTOCOL_SESSION_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "services/mcp_bridge/protocol/json_rpc.h"
#include "services/mcp_bridge/query/cancellation.h"
#include "services/mcp_bridge/tools/catalog.h"

namespace flightrec::mcp_bridge {

inline constexpr size_t kMaxRunningCalls = 8;
// Of one message, either way.
inline constexpr size_t kMaxMessageBytes = 1 << 20;

class Session {
 public:
  // `catalog` outlives the session. `send` takes one JSON text without line
  // breaks.
  Session(const Catalog* catalog, std::function<void(const std::string&)> send);
  // Cancels what runs and waits for it.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Receive(absl::string_view text);
  // The peer has gone: ends running calls early.
  void CancelAll();
  // Returns when every call has been answered.
  void WaitForCalls();

 private:
  void Send(const Json& message);
  void Handle(const RpcRequest& request);
  // The answer to a method that does not take long; null for a notification.
  Json Answer(const RpcRequest& request);
  Json Initialize(const RpcRequest& request);
  void Cancel(const Json& params);
  void StartCall(const RpcRequest& request);
  void RunCall(const RpcRequest& request, Cancellation& cancellation);

  const Catalog* const catalog_;
  const std::function<void(const std::string&)> send_;
  absl::Mutex send_mutex_;
  bool initialized_ = false;

  absl::Mutex calls_mutex_;
  // Keyed by the id's JSON text.
  std::map<std::string, std::shared_ptr<Cancellation>> calls_ ABSL_GUARDED_BY(calls_mutex_);
};

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_PROTOCOL_SESSION_H_
