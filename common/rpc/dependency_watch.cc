#include "common/rpc/dependency_watch.h"

#include <optional>
#include <utility>

#include "absl/time/clock.h"

namespace flightrec::rpc {

DependencyWatch::DependencyWatch(std::shared_ptr<grpc::Channel> channel,
                                 std::function<void(bool)> report)
    : channel_(std::move(channel)), report_(std::move(report)), thread_([this] { Run(); }) {}

DependencyWatch::~DependencyWatch() {
  stop_ = true;
  thread_.join();
}

void DependencyWatch::Run() {
  std::optional<bool> reported;
  while (!stop_) {
    const grpc_connectivity_state state = channel_->GetState(/*try_to_connect=*/true);
    const bool up = state == GRPC_CHANNEL_READY;
    if (reported != up) {
      reported = up;
      report_(up);
    }
    channel_->WaitForStateChange(state, absl::ToChronoTime(absl::Now() + kDependencyPoll));
  }
}

}  // namespace flightrec::rpc
