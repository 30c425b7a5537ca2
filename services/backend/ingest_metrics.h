// Counters of the ingest side. Thread-safe.
#ifndef SERVICES_BACKEND_INGEST_METRICS_H_
#define SERVICES_BACKEND_INGEST_METRICS_H_

#include <array>

#include "absl/status/status.h"
#include "common/metrics/registry.h"
#include "services/backend/store/batch.h"

namespace flightrec::backend {

struct IngestMetrics {
  explicit IngestMetrics(metrics::Registry& registry);

  metrics::Counter& Rejections(RefusalReason reason) {
    return *rejections[static_cast<size_t>(reason)];
  }

  // Those that ended otherwise than by their producer.
  metrics::Counter& SessionsFailed(absl::StatusCode code);

  metrics::Registry& registry;
  metrics::Gauge& sessions;
  metrics::Counter& sessions_opened;
  metrics::Counter& sessions_refused;
  metrics::Counter& batches;
  metrics::Counter& batch_bytes;
  metrics::Counter& duplicate_batches;
  std::array<metrics::Counter*, static_cast<size_t>(RefusalReason::kCount)> rejections;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_INGEST_METRICS_H_
