// What a producer can send: a SessionRequest as it comes, and what the backend makes of the batch
// in it.
#include <cstdint>
#include <cstdlib>

#include "flightrec/ingest/v1/ingest.pb.h"
#include "services/backend/ingest_item.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  flightrec::ingest::v1::SessionRequest request;
  if (!request.ParseFromArray(data, static_cast<int>(size)) || !request.has_batch()) return 0;
  const auto items = static_cast<size_t>(request.batch().items_size());
  const flightrec::backend::Batch batch =
      flightrec::backend::TakeBatch({"default", "fuzzer", 1}, *request.mutable_batch());
  // All of it or nothing.
  if (batch.refusal.has_value() ? !batch.items.empty() : batch.items.size() != items) std::abort();
  if (batch.refusal.has_value() && batch.refusal->status.ok()) std::abort();
  return 0;
}
