// Turns the Batch of the contract into that of the store. Checks every item by itself: names parse,
// chunks carry a header we know and a checksum that holds.
//
// Thread-safe: pure functions. Does not look at what the store holds.
#ifndef SERVICES_BACKEND_INGEST_ITEM_H_
#define SERVICES_BACKEND_INGEST_ITEM_H_

#include <cstddef>

#include "flightrec/ingest/v1/ingest.pb.h"
#include "services/backend/store/batch.h"

namespace flightrec::backend {

// Of an item that is not a chunk, and of one function of a table.
inline constexpr size_t kMaxItemBytes = size_t{256} << 10;

// Takes the contents of `batch`. When an item is wrong the result carries a refusal and no items.
Batch TakeBatch(const Producer& producer, ingest::v1::Batch& batch);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_INGEST_ITEM_H_
