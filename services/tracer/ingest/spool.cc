#include "services/tracer/ingest/spool.h"

#include <algorithm>

namespace flightrec::ingest {
namespace {

// Tag and length of an item in a batch, and the batch's own sequence, at most.
constexpr uint64_t kItemOverheadBytes = 6;
constexpr uint64_t kBatchOverheadBytes = 11;

}  // namespace

bool Spool::Append(const ids::Ulid& recording, v1::Item item, uint64_t limit_bytes) {
  const uint64_t bytes = item.ByteSizeLong() + kItemOverheadBytes;
  if (bytes_ + bytes > limit_bytes) return false;
  waiting_.push_back({recording, std::move(item), bytes});
  bytes_ += bytes;
  waiting_bytes_ += bytes;
  ++appended_items_;
  return true;
}

bool Spool::CanSend(uint64_t credit_bytes) const {
  if (unsent_ < batches_.size()) return batches_[unsent_].batch_bytes <= credit_bytes;
  return !waiting_.empty() && waiting_.front().bytes + kBatchOverheadBytes <= credit_bytes;
}

Spool::Frame Spool::NextFrame(uint64_t max_batch_bytes, uint64_t& credit_bytes) {
  if (!CanSend(credit_bytes)) return nullptr;
  if (unsent_ == batches_.size()) {
    Batch batch = {waiting_.front().recording, std::make_shared<v1::SessionRequest>(), 0, 0};
    v1::Batch& message = *batch.frame->mutable_batch();
    message.set_sequence(first_sequence_ + batches_.size());
    const uint64_t limit = std::min(max_batch_bytes, credit_bytes);
    uint64_t bytes = kBatchOverheadBytes;
    do {
      *message.add_items() = std::move(waiting_.front().item);
      bytes += waiting_.front().bytes;
      batch.item_bytes += waiting_.front().bytes;
      waiting_bytes_ -= waiting_.front().bytes;
      waiting_.pop_front();
    } while (!waiting_.empty() && waiting_.front().recording == batch.recording &&
             bytes + waiting_.front().bytes <= limit);
    batch.batch_bytes = message.ByteSizeLong();
    batches_.push_back(std::move(batch));
  }
  const Batch& next = batches_[unsent_];
  ++unsent_;
  credit_bytes -= next.batch_bytes;
  return next.frame;
}

bool Spool::Acknowledge(uint64_t sequence) {
  if (sequence >= first_sequence_ + batches_.size()) return false;
  while (!batches_.empty() && first_sequence_ <= sequence) {
    const Batch& batch = batches_.front();
    durable_items_ += static_cast<uint64_t>(batch.frame->batch().items_size());
    durable_bytes_ += batch.item_bytes;
    bytes_ -= batch.item_bytes;
    batches_.pop_front();
    ++first_sequence_;
    // An earlier stream may have sent what this one has not sent again.
    if (unsent_ > 0) --unsent_;
  }
  return true;
}

void Spool::Renumber() {
  first_sequence_ = 1;
  unsent_ = 0;
  uint64_t sequence = first_sequence_;
  for (Batch& batch : batches_) {
    // A copy: the old frame may be being written.
    auto frame = std::make_shared<v1::SessionRequest>(*batch.frame);
    frame->mutable_batch()->set_sequence(sequence++);
    batch.frame = std::move(frame);
    batch.batch_bytes = batch.frame->batch().ByteSizeLong();
  }
}

const Spool::Batch* Spool::Find(uint64_t sequence) const {
  if (sequence < first_sequence_ || sequence >= first_sequence_ + batches_.size()) return nullptr;
  return &batches_[sequence - first_sequence_];
}

uint64_t Spool::ItemsOf(uint64_t sequence) const {
  const Batch* batch = Find(sequence);
  return batch == nullptr ? 0 : static_cast<uint64_t>(batch->frame->batch().items_size());
}

ids::Ulid Spool::RecordingOf(uint64_t sequence) const {
  const Batch* batch = Find(sequence);
  return batch == nullptr ? ids::Ulid() : batch->recording;
}

}  // namespace flightrec::ingest
