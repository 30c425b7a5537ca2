// Writes known recordings into a backend and reads them back: the newest one and, every time, the
// oldest one that it still keeps; after anything went wrong, all of them. What the backend has
// acknowledged must come back byte for byte, whatever happened to it in between.
//
// Not thread-safe. Removes what it wrote, in the order it was written, when it may (role admin).

#ifndef SERVICES_FLIGHTREC_CANARY_H_
#define SERVICES_FLIGHTREC_CANARY_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/ids/ulid.h"
#include "common/metrics/registry.h"
#include "flightrec/ingest/v1/ingest.grpc.pb.h"
#include "flightrec/read/v1/read.grpc.pb.h"

namespace flightrec::cli {

// Recordings that are left in the store, to be read again.
inline constexpr size_t kCanaryKept = 32;
inline constexpr absl::Duration kCanaryCallTimeout = absl::Seconds(10);

struct CanaryRound {
  ids::Ulid recording;
  absl::Duration write_time;
  absl::Duration read_time;
  // OK: everything came back. UNAVAILABLE, DEADLINE_EXCEEDED: the backend cannot be reached.
  // RESOURCE_EXHAUSTED: it takes nothing now. DATA_LOSS: something acknowledged is missing or not
  // what was written; the message names it. Others: it does not do what it should.
  absl::Status status;
};

class Canary {
 public:
  // All outlive the canary. `ids` names its recordings and itself.
  Canary(ingest::v1::IngestService::StubInterface& ingest,
         read::v1::ReadService::StubInterface& read, ids::UlidGenerator& ids, clock::Clock& clock,
         metrics::Registry& registry);

  CanaryRound Round();

 private:
  // Until the backend says that the recording is durable. `lost` is what it no longer knows of what
  // it acknowledged before.
  absl::Status Write(const ids::Ulid& recording, absl::Status& lost);
  absl::Status ReadBack(const ids::Ulid& recording);
  // Reads some of what is kept, drops what is damaged, and adds what is wrong to `status`.
  void ReadKept(bool newest, absl::Status& status);
  void Remove(const ids::Ulid& recording);
  absl::Status Count(const absl::Status& status);

  ingest::v1::IngestService::StubInterface& ingest_;
  read::v1::ReadService::StubInterface& read_;
  ids::UlidGenerator& ids_;
  clock::Clock& clock_;
  const std::string producer_id_;
  // The last acknowledged one.
  uint64_t sequence_ = 0;
  // Acknowledged, oldest first.
  std::deque<ids::Ulid> kept_;
  // Something went wrong since all that is kept was read.
  bool read_all_ = false;

  metrics::Registry& registry_;
  metrics::Counter& rounds_;
  metrics::Counter& good_rounds_;
  metrics::Counter& damaged_;
  metrics::Histogram& write_seconds_;
  metrics::Histogram& read_seconds_;
};

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_CANARY_H_
