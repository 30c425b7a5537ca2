#include "services/query_engine/catalog/loaded_recording.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/chunk/codec.h"
#include "services/query_engine/engine/statement.h"
#include "services/query_engine/load/recording_loader.h"

namespace flightrec::query_engine {
namespace {

absl::Status AddMetadata(BackendClient& backend, LoadedRecording& loaded, RecordingLoader& loader) {
  const std::string& name = loaded.recording.name();
  absl::StatusOr<std::vector<trace::v1::Process>> processes = backend.ListProcesses(name);
  if (!processes.ok()) return processes.status();
  for (const trace::v1::Process& process : *processes) {
    if (absl::Status status = loader.AddProcess(process); !status.ok()) return status;
  }
  loaded.processes = *std::move(processes);
  absl::StatusOr<std::vector<trace::v1::Thread>> threads = backend.ListThreads(name);
  if (!threads.ok()) return threads.status();
  for (const trace::v1::Thread& thread : *threads) {
    if (absl::Status status = loader.AddThread(thread); !status.ok()) return status;
  }
  return backend.ReadFunctions(
      name, [&](const trace::v1::Function& function) { return loader.AddFunction(function); });
}

absl::StatusOr<uint64_t> AddChunks(BackendClient& backend, const std::string& name,
                                   RecordingLoader& loader) {
  chunk::CallChunk chunk;
  return backend.ReadChunks(name, [&](const std::string& bytes) {
    absl::Status status = chunk::DecodeCallChunkInto(bytes, chunk);
    if (status.ok()) status = loader.AddChunk(chunk);
    if (status.ok()) return status;
    return absl::Status(status.code(),
                        absl::StrCat("a chunk of ", name, " (thread chunk ",
                                     chunk.header.chunk_ordinal, "): ", status.message()));
  });
}

absl::StatusOr<int64_t> MemoryBytes(Database& database) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = database.Connect();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<std::vector<Row>> rows =
      FetchAll(**connection, "SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory()");
  if (!rows.ok()) return rows.status();
  return std::get<int64_t>(rows->at(0).at(0));
}

}  // namespace

absl::StatusOr<std::shared_ptr<LoadedRecording>> LoadRecording(
    BackendClient& backend, const trace::v1::Recording& recording, const DatabaseLimits& limits) {
  auto loaded = std::make_shared<LoadedRecording>();
  loaded->recording = recording;
  absl::StatusOr<std::unique_ptr<Database>> database = Database::Open(limits);
  if (!database.ok()) return database.status();
  loaded->database = *std::move(database);
  absl::StatusOr<std::unique_ptr<RecordingLoader>> loader =
      RecordingLoader::Create(*loaded->database);
  if (!loader.ok()) return loader.status();
  if (absl::Status status = AddMetadata(backend, *loaded, **loader); !status.ok()) return status;
  absl::StatusOr<uint64_t> position = AddChunks(backend, recording.name(), **loader);
  if (!position.ok()) return position.status();
  loaded->last_position = *position;
  absl::StatusOr<trace::v1::Completeness> completeness = (*loader)->Finish(recording);
  if (!completeness.ok()) return completeness.status();
  loaded->completeness = *std::move(completeness);
  absl::StatusOr<int64_t> bytes = MemoryBytes(*loaded->database);
  if (!bytes.ok()) return bytes.status();
  loaded->memory_bytes = *bytes;
  return loaded;
}

}  // namespace flightrec::query_engine
