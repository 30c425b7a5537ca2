// A small HTTP/1.1 server for /metrics (Prometheus text) and /healthz (200
// while the process answers). One thread, at most kMaxConnections at a time,
// one request a connection, kRequestTimeout to make it. No authentication:
// bind it to loopback or a private network. Start and Stop from one thread.
#ifndef FLIGHTREC_COMMON_METRICS_HTTP_SERVER_H_
#define FLIGHTREC_COMMON_METRICS_HTTP_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/metrics/registry.h"

namespace flightrec::metrics {

inline constexpr int kMaxConnections = 16;
inline constexpr size_t kMaxRequestBytes = 8 << 10;
inline constexpr absl::Duration kRequestTimeout = absl::Seconds(5);

class HttpServer {
 public:
  // `host` is a numeric address; port 0 takes a free one. `registry` outlives
  // the server. UNAVAILABLE when the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& host, int port,
                                                           const Registry* registry);
  // Closes every connection and joins the thread.
  ~HttpServer();

  int port() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace flightrec::metrics

#endif  // FLIGHTREC_COMMON_METRICS_HTTP_SERVER_H_
