// Recordings, chunks and batches for tests of the backend.
//
// Thread-safe: pure functions.
#ifndef SERVICES_BACKEND_STORE_TEST_ITEMS_H_
#define SERVICES_BACKEND_STORE_TEST_ITEMS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/ids/ulid.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/backend/store/batch.h"

namespace flightrec::backend {

inline constexpr uint64_t kTestProcess = 0x1111;
inline constexpr uint64_t kTestThread = 0x2222;

// A larger `number` is newer.
ids::Ulid TestRecordingId(uint8_t number);

trace::v1::Recording TestRecording(
    const ids::Ulid& id, trace::v1::RecordingState state = trace::v1::RECORDING_STATE_RECORDING);
trace::v1::Process TestProcess(const ids::Ulid& recording, uint64_t process = kTestProcess);
trace::v1::Thread TestThread(const ids::Ulid& recording, uint64_t thread = kTestThread);

// Encoded; `seed` decides the calls. A thousand calls go to a blob file.
inline constexpr size_t kTestCalls = 100;
std::string TestChunk(const ids::Ulid& recording, uint64_t chunk_ordinal,
                      uint64_t thread = kTestThread, uint64_t seed = 1, size_t calls = kTestCalls);
ChunkItem TestChunkItem(const std::string& chunk);

Batch TestBatch(uint64_t sequence, std::vector<Item> items, absl::string_view producer = "p",
                uint64_t epoch = 1);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_TEST_ITEMS_H_
