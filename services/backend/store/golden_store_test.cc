// A store that an older version wrote is opened, brought up to date and holds what it held.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/backend/store/blocking_store.h"
#include "services/backend/store/keys.h"
#include "services/backend/store/test_items.h"

namespace flightrec::backend {
namespace {

std::string UnpackedStore(const std::string& name) {
  const std::string directory = MakeStoreDirectory();
  const std::string command = absl::StrCat("tar -xf tests/golden/", name, ".tar -C ", directory);
  if (std::system(command.c_str()) != 0) ADD_FAILURE() << command;
  return absl::StrCat(directory, "/", name);
}

std::vector<StoredChunk> ChunksOf(BlockingStore& store, const ids::Ulid& recording) {
  ChunkQuery query;
  query.tenant = kDefaultTenant;
  query.recording = recording;
  return store.ReadAll(query).value();
}

TEST(GoldenStore, version_1__then_it_is_migrated_and_holds_what_it_held) {
  const std::string directory = UnpackedStore("store_v1");
  const ids::Ulid first = TestRecordingId(1);
  const ids::Ulid second = TestRecordingId(2);
  {
    BlockingStore store(directory);
    EXPECT_EQ(store.store().database().opened_format_version(), 1u);
    EXPECT_EQ(store.OpenProducer().value(), 4u);
    EXPECT_EQ(store.store().GetRecording(kDefaultTenant, first)->state(),
              trace::v1::RECORDING_STATE_SEALED);
    const std::vector<StoredChunk> chunks = ChunksOf(store, first);
    ASSERT_EQ(chunks.size(), 2u);
    EXPECT_EQ(chunks[0].data, TestChunk(first, 0));
    EXPECT_EQ(chunks[1].data, TestChunk(first, 1));
    ASSERT_EQ(ChunksOf(store, second).size(), 1u);
    EXPECT_EQ(store.Undelete(TestRecordingId(9)).code(), absl::StatusCode::kNotFound);
    // What version 2 adds.
    ASSERT_EQ(store.Delete(second, absl::Hours(1)), absl::OkStatus());
  }
  BlockingStore store(directory);
  EXPECT_EQ(store.store().database().opened_format_version(), kStoreFormatVersion);
  ASSERT_EQ(store.Undelete(second), absl::OkStatus());
  EXPECT_EQ(ChunksOf(store, second)[0].data, TestChunk(second, 0));
}

}  // namespace
}  // namespace flightrec::backend
