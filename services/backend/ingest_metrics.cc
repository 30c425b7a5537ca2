#include "services/backend/ingest_metrics.h"

namespace flightrec::backend {

IngestMetrics::IngestMetrics(metrics::Registry& registry)
    : registry(registry),
      sessions(registry.AddGauge("flightrec_backend_sessions", "Producers' streams open now.")),
      sessions_opened(registry.AddCounter("flightrec_backend_sessions_total",
                                          "Producers' streams that were opened.")),
      sessions_refused(registry.AddCounter("flightrec_backend_sessions_refused_total",
                                           "Producers' streams over a limit.")),
      batches(registry.AddCounter("flightrec_backend_batches_total", "Batches received.")),
      batch_bytes(
          registry.AddCounter("flightrec_backend_batch_bytes_total", "Bytes of batches received.")),
      duplicate_batches(registry.AddCounter("flightrec_backend_duplicate_batches_total",
                                            "Batches whose sequence was taken before.")) {
  for (size_t i = 0; i < rejections.size(); ++i) {
    rejections[i] =
        &registry.AddCounter("flightrec_backend_rejections_total", "Batches that were not kept.",
                             {{"reason", RefusalReasonName(static_cast<RefusalReason>(i))}});
  }
}

metrics::Counter& IngestMetrics::SessionsFailed(absl::StatusCode code) {
  return registry.AddCounter("flightrec_backend_sessions_failed_total",
                             "Producers' streams that this backend ended, by status.",
                             {{"status", absl::StatusCodeToString(code)}});
}

}  // namespace flightrec::backend
