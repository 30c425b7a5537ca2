#include "services/query_engine/source/backend_probe.h"

#include <optional>
#include <utility>

namespace flightrec::query_engine {

BackendProbe::BackendProbe(std::shared_ptr<grpc::Channel> channel, std::function<void(bool)> report)
    : channel_(std::move(channel)), report_(std::move(report)), thread_([this] { Run(); }) {}

BackendProbe::~BackendProbe() {
  stopping_.Notify();
  thread_.join();
}

void BackendProbe::Run() {
  std::optional<bool> reported;
  do {
    const bool reachable = channel_->GetState(/*try_to_connect=*/true) == GRPC_CHANNEL_READY;
    if (reported != reachable) {
      report_(reachable);
      reported = reachable;
    }
  } while (!stopping_.WaitForNotificationWithTimeout(kInterval));
}

}  // namespace flightrec::query_engine
