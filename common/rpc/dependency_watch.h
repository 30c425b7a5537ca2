// Tells whether a peer can be reached, from the state of its channel, and keeps
// the channel connected. One thread of its own; `report` is called on it, first
// at once and then on every change. Does not call the peer.
#ifndef FLIGHTREC_COMMON_RPC_DEPENDENCY_WATCH_H_
#define FLIGHTREC_COMMON_RPC_DEPENDENCY_WATCH_H_

#include <grpcpp/channel.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "absl/time/time.h"

namespace flightrec::rpc {

// gRPC cannot be told to stop waiting for a change, so stopping takes this long
// at most.
inline constexpr absl::Duration kDependencyPoll = absl::Milliseconds(200);

class DependencyWatch {
 public:
  DependencyWatch(std::shared_ptr<grpc::Channel> channel, std::function<void(bool up)> report);
  ~DependencyWatch();
  DependencyWatch(const DependencyWatch&) = delete;
  DependencyWatch& operator=(const DependencyWatch&) = delete;

 private:
  void Run();

  const std::shared_ptr<grpc::Channel> channel_;
  const std::function<void(bool)> report_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_DEPENDENCY_WATCH_H_
