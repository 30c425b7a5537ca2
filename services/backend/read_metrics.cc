#include "services/backend/read_metrics.h"

namespace flightrec::backend {

ReadMetrics::ReadMetrics(metrics::Registry& registry)
    : chunks_read(
          registry.AddCounter("flightrec_backend_chunks_read_total", "Chunks given to readers.")),
      bytes_read(registry.AddCounter("flightrec_backend_chunk_bytes_read_total",
                                     "Bytes of chunks given to readers.")),
      chunks_pruned(registry.AddCounter(
          "flightrec_backend_chunks_pruned_total",
          "Chunks left out because their rollup has none of the functions asked for.")),
      recordings_deleted(registry.AddCounter("flightrec_backend_recordings_deleted_total",
                                             "Recordings deleted by request.")),
      tails(registry.AddGauge("flightrec_backend_tails", "Readers that follow a recording now.")),
      tails_refused(
          registry.AddCounter("flightrec_backend_tails_refused_total",
                              "Readers that wanted to follow a recording, over the limit.")),
      tail_gaps(registry.AddCounter("flightrec_backend_tail_gaps_total",
                                    "Times that a reader was too slow to follow.")),
      tail_chunks_skipped(registry.AddCounter("flightrec_backend_tail_chunks_skipped_total",
                                              "Chunks that slow readers were not given.")) {}

}  // namespace flightrec::backend
