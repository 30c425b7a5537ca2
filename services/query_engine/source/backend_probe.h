// Watches whether the backend can be reached, so that health can say so.
//
// One thread of its own, ended by the destructor. Keeps the channel connecting;
// sends no requests.
#ifndef SERVICES_QUERY_ENGINE_SOURCE_BACKEND_PROBE_H_
#define SERVICES_QUERY_ENGINE_SOURCE_BACKEND_PROBE_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace flightrec::query_engine {

class BackendProbe {
 public:
  static constexpr absl::Duration kInterval = absl::Milliseconds(500);

  // `report` is called by the probe's thread: first with the state found, then
  // at each change.
  BackendProbe(std::shared_ptr<grpc::Channel> channel, std::function<void(bool)> report);
  ~BackendProbe();
  BackendProbe(const BackendProbe&) = delete;
  BackendProbe& operator=(const BackendProbe&) = delete;

 private:
  void Run();

  const std::shared_ptr<grpc::Channel> channel_;
  const std::function<void(bool)> report_;
  absl::Notification stopping_;
  std::thread thread_;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_SOURCE_BACKEND_PROBE_H_
