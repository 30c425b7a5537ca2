// What was handed over and is not on the backend's disk yet, in order: items that wait, and
// batches that were numbered and may have to be sent again. A batch has items of one recording: the
// backend takes or refuses it as a whole.
//
// Not thread-safe. In memory only. Does not send.
#ifndef SERVICES_TRACER_INGEST_SPOOL_H_
#define SERVICES_TRACER_INGEST_SPOOL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "common/ids/ulid.h"
#include "flightrec/ingest/v1/ingest.pb.h"

namespace flightrec::ingest {

class Spool {
 public:
  // A frame with a batch in it; shared, so that it can be written while it is acknowledged.
  using Frame = std::shared_ptr<const v1::SessionRequest>;

  // False if the spool would hold more than `limit_bytes`; `item` is dropped then.
  bool Append(const ids::Ulid& recording, v1::Item item, uint64_t limit_bytes);

  bool empty() const { return waiting_.empty() && batches_.empty(); }
  bool HasUnsentBatch() const { return unsent_ < batches_.size(); }
  bool HasUnsent() const { return HasUnsentBatch() || !waiting_.empty(); }

  // Whether NextFrame would give one for this much credit.
  bool CanSend(uint64_t credit_bytes) const;

  // The next batch to send: one to be sent again as it was, or a new one of at most
  // `max_batch_bytes` and `credit_bytes` (a single item may be above the former). Its size is
  // taken from `credit_bytes`. Null if CanSend is false.
  Frame NextFrame(uint64_t max_batch_bytes, uint64_t& credit_bytes);

  // Forgets everything up to `sequence`. False, and nothing is done, if that was never sent.
  bool Acknowledge(uint64_t sequence);

  // After a reconnect: all batches that are left are unsent again.
  void Rewind() { unsent_ = 0; }

  // For a new epoch: the batches that are left count from 1 again and are unsent.
  void Renumber();

  // Items of a batch that is still held, or 0.
  uint64_t ItemsOf(uint64_t sequence) const;
  // Its recording, or none.
  ids::Ulid RecordingOf(uint64_t sequence) const;

  uint64_t acknowledged_sequence() const { return first_sequence_ - 1; }
  uint64_t items() const { return appended_items_ - durable_items_; }
  uint64_t bytes() const { return bytes_; }
  // Of those, in no batch yet.
  uint64_t waiting_bytes() const { return waiting_bytes_; }
  // Of all items ever appended.
  uint64_t appended_items() const { return appended_items_; }
  uint64_t durable_items() const { return durable_items_; }
  uint64_t durable_bytes() const { return durable_bytes_; }

 private:
  struct Waiting {
    ids::Ulid recording;
    v1::Item item;
    uint64_t bytes;
  };
  struct Batch {
    ids::Ulid recording;
    std::shared_ptr<v1::SessionRequest> frame;
    uint64_t item_bytes;   // as counted in bytes_
    uint64_t batch_bytes;  // as credit counts them
  };

  // Null if it is not held.
  const Batch* Find(uint64_t sequence) const;

  std::deque<Waiting> waiting_;
  std::deque<Batch> batches_;
  // Sequence of batches_.front(), or of the next batch if there is none.
  uint64_t first_sequence_ = 1;
  // Batches from this position on are unsent.
  size_t unsent_ = 0;
  uint64_t bytes_ = 0;
  uint64_t waiting_bytes_ = 0;
  uint64_t appended_items_ = 0;
  uint64_t durable_items_ = 0;
  uint64_t durable_bytes_ = 0;
};

}  // namespace flightrec::ingest

#endif  // SERVICES_TRACER_INGEST_SPOOL_H_
