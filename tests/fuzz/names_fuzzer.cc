// Names and keys: resource names out of requests, index entries out of the store, and keys made of
// both.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "common/ids/resource_name.h"
#include "services/backend/store/index_entry.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void TakeName(absl::string_view text) {
  if (const auto recording = ids::ParseRecordingResourceName(text); recording.ok()) {
    Require(ids::RecordingResourceName(*recording) == text);
    const std::string key = RecordingKey("tenant", *recording);
    Require(RecordingOfKey("tenant", key) == *recording && PrefixEnd(key) > key);
  }
  if (const auto process = ids::ParseProcessResourceName(text); process.ok()) {
    Require(ids::ProcessResourceName(process->recording, process->process) == text);
  }
  if (const auto thread = ids::ParseThreadResourceName(text); thread.ok()) {
    Require(ids::ThreadResourceName(thread->recording, thread->process, thread->thread) == text);
    chunk::ChunkHeader header;
    header.recording = thread->recording;
    header.process_id = thread->process;
    header.thread_id = thread->thread;
    const std::string key = ChunkIndexKey("tenant", header);
    Require(IdentityOfKey("tenant", key) == IdentityOf(header));
    Require(LastIdOfKey(key) == header.chunk_ordinal);
  }
}

void TakeEntry(absl::string_view bytes) {
  const absl::StatusOr<IndexEntry> entry = DecodeIndexEntry(bytes);
  Require(entry.ok() == (bytes.size() == kIndexEntryBytes));
  if (entry.ok()) Require(EncodeIndexEntry(*entry) == bytes);
}

}  // namespace
}  // namespace flightrec::backend

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  flightrec::backend::TakeName(bytes);
  flightrec::backend::TakeEntry(bytes);
  return 0;
}
