#include "services/mcp_bridge/protocol/session.h"

#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace flightrec::mcp_bridge {
namespace {

// Newest first. 2025-03-26 is left out: it asks servers to take batches.
constexpr absl::string_view kVersions[] = {"2025-11-25", "2025-06-18", "2024-11-05"};
constexpr char kServerVersion[] = "0.1.0";
constexpr char kInstructions[] =
    "flightrec records every call of a program. Start with overview (recording @latest), then "
    "list_functions or call_tree, and sql for anything else. Every answer says what is missing "
    "(completeness) and whether it was cut (truncated, next).";

}  // namespace

Session::Session(const Catalog* catalog, std::function<void(const std::string&)> send)
    : catalog_(catalog), send_(std::move(send)) {}

Session::~Session() {
  CancelAll();
  WaitForCalls();
}

void Session::Send(const Json& message) {
  const std::string text = Serialize(message);
  absl::MutexLock lock(&send_mutex_);
  send_(text);
}

void Session::Receive(absl::string_view text) {
  if (text.size() > kMaxMessageBytes) {
    Send(RpcError(
        nullptr, kInvalidRequest,
        absl::StrCat("the message has ", text.size(), " bytes, the most is ", kMaxMessageBytes)));
    return;
  }
  const RpcMessage message = ParseRpcMessage(text);
  if (const auto* refusal = std::get_if<RpcRefusal>(&message)) Send(refusal->response);
  if (const auto* request = std::get_if<RpcRequest>(&message)) Handle(*request);
}

void Session::Handle(const RpcRequest& request) {
  if (!request.id.has_value()) {
    if (request.method == "notifications/cancelled") Cancel(request.params);
    // Others (notifications/initialized and unknown ones) ask for nothing.
    return;
  }
  if (!initialized_ && request.method != "initialize" && request.method != "ping") {
    Send(RpcError(*request.id, kInvalidRequest,
                  absl::StrCat("'", request.method, "' before 'initialize'; send that first")));
    return;
  }
  if (request.method == "tools/call") {
    StartCall(request);
  } else {
    Send(Answer(request));
  }
}

Json Session::Answer(const RpcRequest& request) {
  if (request.method == "initialize") return Initialize(request);
  if (request.method == "ping") return RpcResult(*request.id, Json::object());
  if (request.method == "tools/list") {
    if (request.params.contains("cursor")) {
      return RpcError(*request.id, kInvalidParams, "no such cursor: all tools are on one page");
    }
    return RpcResult(*request.id, {{"tools", catalog_->List()}});
  }
  return RpcError(*request.id, kMethodNotFound,
                  absl::StrCat("no method '", request.method,
                               "'; there are initialize, ping, tools/list, tools/call"));
}

Json Session::Initialize(const RpcRequest& request) {
  if (initialized_) {
    return RpcError(*request.id, kInvalidRequest, "the session is already initialized");
  }
  const Json asked = request.params.value("protocolVersion", Json());
  if (!asked.is_string()) {
    return RpcError(*request.id, kInvalidParams,
                    absl::StrCat("'protocolVersion' must be a string; supported: ",
                                 absl::StrJoin(kVersions, ", ")));
  }
  initialized_ = true;
  // An unknown version is answered with ours; the client then decides.
  const auto known = std::find(std::begin(kVersions), std::end(kVersions),
                               absl::string_view(asked.get_ref<const std::string&>()));
  const absl::string_view version = known == std::end(kVersions) ? kVersions[0] : *known;
  return RpcResult(
      *request.id,
      {{"protocolVersion", std::string(version)},
       {"capabilities", {{"tools", {{"listChanged", false}}}}},
       {"serverInfo", {{"name", "flightrec"}, {"title", "flightrec"}, {"version", kServerVersion}}},
       {"instructions", kInstructions}});
}

void Session::Cancel(const Json& params) {
  if (!params.contains("requestId")) return;
  absl::MutexLock lock(&calls_mutex_);
  // The call may have ended in the meantime; then there is nothing to cancel.
  const auto call = calls_.find(Serialize(params["requestId"]));
  if (call != calls_.end()) call->second->Cancel();
}

void Session::StartCall(const RpcRequest& request) {
  const std::string key = Serialize(*request.id);
  auto cancellation = std::make_shared<Cancellation>();
  std::string refusal;
  int code = kServerBusy;
  {
    absl::MutexLock lock(&calls_mutex_);
    if (calls_.contains(key)) {
      refusal = absl::StrCat("a call with id ", key, " is still running");
      code = kInvalidRequest;
    } else if (calls_.size() == kMaxRunningCalls) {
      refusal = absl::StrCat(kMaxRunningCalls, " calls are running; wait for one to end");
    } else {
      calls_.emplace(key, cancellation);
    }
  }
  if (!refusal.empty()) {
    Send(RpcError(*request.id, code, refusal));
    return;
  }
  std::thread([this, request, key, cancellation] {
    RunCall(request, *cancellation);
    // Nothing of the session may be touched after this: it may be gone.
    absl::MutexLock lock(&calls_mutex_);
    calls_.erase(key);
  }).detach();
}

void Session::RunCall(const RpcRequest& request, Cancellation& cancellation) {
  const Json name = request.params.value("name", Json());
  const Json arguments = request.params.value("arguments", Json::object());
  if (!name.is_string() || !arguments.is_object()) {
    Send(RpcError(*request.id, kInvalidParams,
                  "tools/call needs 'name', a string, and 'arguments', an object"));
    return;
  }
  absl::StatusOr<Json> result = catalog_->Call(name.get<std::string>(), arguments, cancellation);
  // MCP: a cancelled request gets no answer.
  if (cancellation.cancelled()) return;
  Send(result.ok() ? RpcResult(*request.id, *std::move(result))
                   : RpcError(*request.id, kInvalidParams, result.status().message()));
}

void Session::CancelAll() {
  absl::MutexLock lock(&calls_mutex_);
  for (const auto& [key, cancellation] : calls_) cancellation->Cancel();
}

void Session::WaitForCalls() {
  absl::MutexLock lock(&calls_mutex_);
  calls_mutex_.Await(absl::Condition(
      +[](std::map<std::string, std::shared_ptr<Cancellation>>* calls) { return calls->empty(); },
      &calls_));
}

}  // namespace flightrec::mcp_bridge
