// Counters of the reading side. Thread-safe.
#ifndef SERVICES_BACKEND_READ_METRICS_H_
#define SERVICES_BACKEND_READ_METRICS_H_

#include "common/metrics/registry.h"

namespace flightrec::backend {

struct ReadMetrics {
  explicit ReadMetrics(metrics::Registry& registry);

  metrics::Counter& chunks_read;
  metrics::Counter& bytes_read;
  metrics::Counter& chunks_pruned;
  metrics::Counter& recordings_deleted;
  metrics::Gauge& tails;
  metrics::Counter& tails_refused;
  metrics::Counter& tail_gaps;
  metrics::Counter& tail_chunks_skipped;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_READ_METRICS_H_
