// Fills a database with one recording: metadata as the backend lists it, calls
// out of chunks.
//
// Not thread-safe; one loader fills one database once. Does not talk to the
// backend.
#ifndef SERVICES_QUERY_ENGINE_LOAD_RECORDING_LOADER_H_
#define SERVICES_QUERY_ENGINE_LOAD_RECORDING_LOADER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/chunk/chunk.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/query_engine/engine/database.h"
#include "services/query_engine/engine/table_appender.h"
#include "services/query_engine/load/path_table.h"
#include "services/query_engine/load/thread_calls.h"

namespace flightrec::query_engine {

class RecordingLoader {
 public:
  // Creates the tables in an empty `database`, which outlives the loader.
  static absl::StatusOr<std::unique_ptr<RecordingLoader>> Create(Database& database);

  absl::Status AddFunction(const trace::v1::Function& function);
  absl::Status AddProcess(const trace::v1::Process& process);
  absl::Status AddThread(const trace::v1::Thread& thread);

  // Chunks of a thread come in order of their ordinal and without chunks of
  // other threads in between: FAILED_PRECONDITION otherwise.
  absl::Status AddChunk(const chunk::CallChunk& chunk);

  // After all chunks. Adds what nobody listed (functions and threads known from
  // chunks only), the sums and the views. Returns what is missing: what `recording` says, corrected
  // by what the chunks hold.
  absl::StatusOr<trace::v1::Completeness> Finish(const trace::v1::Recording& recording);

 private:
  explicit RecordingLoader(std::unique_ptr<Connection> connection)
      : connection_(std::move(connection)) {}
  absl::Status OpenAppenders();
  absl::Status CloseAppenders();

  absl::Status FinishThread();
  absl::Status AppendCall(const SweptCall& call);
  absl::Status AppendLost();
  absl::Status AppendUntimed(uint64_t function_id, uint64_t calls, bool filtered);
  absl::Status AppendPaths();
  absl::Status AppendUnlistedFunctions();
  absl::Status AppendRecording(const trace::v1::Recording& recording);
  trace::v1::Completeness Completeness(const trace::v1::Recording& recording) const;

  const std::unique_ptr<Connection> connection_;
  std::unique_ptr<TableAppender> calls_;
  std::unique_ptr<TableAppender> functions_;
  std::unique_ptr<TableAppender> paths_out_;
  std::unique_ptr<TableAppender> threads_;
  std::unique_ptr<TableAppender> processes_;
  std::unique_ptr<TableAppender> recordings_;
  std::unique_ptr<TableAppender> lost_out_;

  PathTable paths_;
  absl::flat_hash_set<uint64_t> functions_listed_;
  absl::flat_hash_set<uint64_t> threads_listed_;
  absl::flat_hash_set<uint64_t> threads_done_;
  // The thread whose chunks are coming.
  std::optional<ThreadCalls> current_;
  uint64_t current_thread_ = 0;
  uint64_t current_process_ = 0;

  uint64_t calls_timed_ = 0;
  uint64_t calls_open_ = 0;
  uint64_t calls_lost_ = 0;
  uint64_t calls_filtered_ = 0;
  uint64_t missing_chunks_ = 0;
  std::map<uint64_t, uint64_t> lost_by_function_;
  std::set<uint64_t> filtered_functions_;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_LOAD_RECORDING_LOADER_H_
