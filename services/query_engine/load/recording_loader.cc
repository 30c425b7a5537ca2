#include "services/query_engine/load/recording_loader.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/ids/hex16.h"
#include "services/query_engine/load/schema.h"

namespace flightrec::query_engine {
namespace {

constexpr size_t kMaxLostByFunction = 100;

int64_t Nanoseconds(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000'000'000 + time.nanos();
}

std::string StateName(trace::v1::RecordingState state) {
  const std::string name = trace::v1::RecordingState_Name(state);
  return std::string(absl::StripPrefix(name, "RECORDING_STATE_"));
}

std::string RecordingId(const trace::v1::Recording& recording) {
  return std::string(absl::StripPrefix(recording.name(), "recordings/"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecordingLoader>> RecordingLoader::Create(Database& database) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = database.Connect();
  if (!connection.ok()) return connection.status();
  if (absl::Status status = (*connection)->Execute(kCreateTables); !status.ok()) return status;
  std::unique_ptr<RecordingLoader> loader(new RecordingLoader(*std::move(connection)));
  if (absl::Status status = loader->OpenAppenders(); !status.ok()) return status;
  return loader;
}

absl::Status RecordingLoader::OpenAppenders() {
  const auto open = [this](const char* schema, const char* table,
                           std::unique_ptr<TableAppender>& appender) {
    absl::StatusOr<std::unique_ptr<TableAppender>> opened =
        TableAppender::Open(*connection_, schema, table);
    if (opened.ok()) appender = *std::move(opened);
    return opened.status();
  };
  absl::Status status = open("stored", "calls", calls_);
  status.Update(open("main", "functions", functions_));
  status.Update(open("main", "paths", paths_out_));
  status.Update(open("main", "threads", threads_));
  status.Update(open("main", "processes", processes_));
  status.Update(open("main", "recordings", recordings_));
  status.Update(open("main", "lost_calls", lost_out_));
  return status;
}

absl::Status RecordingLoader::CloseAppenders() {
  for (auto* appender :
       {&calls_, &functions_, &paths_out_, &threads_, &processes_, &recordings_, &lost_out_}) {
    if (absl::Status status = (*appender)->Close(); !status.ok()) return status;
    appender->reset();
  }
  return absl::OkStatus();
}

absl::Status RecordingLoader::AddFunction(const trace::v1::Function& function) {
  if (!functions_listed_.insert(function.function_id()).second) return absl::OkStatus();
  functions_->Set<uint64_t>(0, function.function_id());
  functions_->SetText(1, function.name());
  functions_->SetText(2, function.symbol());
  functions_->SetText(3, function.module());
  functions_->SetText(4, function.build_id());
  functions_->Set<uint64_t>(5, function.offset());
  functions_->Set<uint64_t>(6, function.size());
  functions_->SetText(7, function.source_file());
  functions_->Set<uint32_t>(8, function.source_line());
  return functions_->EndRow();
}

absl::Status RecordingLoader::AddProcess(const trace::v1::Process& process) {
  processes_->Set<uint64_t>(0, process.process_id());
  processes_->Set<int32_t>(1, process.pid());
  processes_->SetText(2, process.executable());
  processes_->SetText(3, absl::StrJoin(process.command(), " "));
  processes_->SetText(4, process.host());
  processes_->Set<int64_t>(5, Nanoseconds(process.start_time()));
  processes_->Set<int32_t>(6, process.outcome().exit_code());
  if (!process.outcome().has_exit_code()) processes_->SetNull(6);
  processes_->Set<int32_t>(7, process.outcome().signal());
  if (!process.outcome().has_signal()) processes_->SetNull(7);
  return processes_->EndRow();
}

absl::Status RecordingLoader::AddThread(const trace::v1::Thread& thread) {
  if (!threads_listed_.insert(thread.thread_id()).second) return absl::OkStatus();
  threads_->Set<uint64_t>(0, thread.thread_id());
  threads_->Set<uint64_t>(1, thread.process_id());
  threads_->Set<int32_t>(2, thread.tid());
  threads_->Set<uint32_t>(3, thread.ordinal());
  threads_->SetText(4, thread.thread_name());
  return threads_->EndRow();
}

absl::Status RecordingLoader::AddChunk(const chunk::CallChunk& chunk) {
  const chunk::ChunkHeader& header = chunk.header;
  if (!current_ || header.thread_id != current_thread_) {
    if (absl::Status status = FinishThread(); !status.ok()) return status;
    if (threads_done_.contains(header.thread_id)) {
      return absl::FailedPreconditionError(
          absl::StrCat("chunk ", header.chunk_ordinal, " of thread ", ids::Hex16(header.thread_id),
                       " came after chunks of other threads; the backend must send a thread's "
                       "chunks together"));
    }
    current_.emplace(paths_);
    current_thread_ = header.thread_id;
    current_process_ = header.process_id;
    if (!threads_listed_.contains(header.thread_id)) {
      trace::v1::Thread unlisted;
      unlisted.set_thread_id(header.thread_id);
      unlisted.set_process_id(header.process_id);
      unlisted.set_tid(static_cast<int32_t>(header.tid));
      if (absl::Status status = AddThread(unlisted); !status.ok()) return status;
    }
  }
  current_->Add(chunk);
  return absl::OkStatus();
}

absl::Status RecordingLoader::FinishThread() {
  if (!current_) return absl::OkStatus();
  std::vector<SweptCall> calls = current_->TakeCalls();
  paths_.Link();
  SweepThread(paths_, calls);
  for (const SweptCall& call : calls) {
    if (absl::Status status = AppendCall(call); !status.ok()) return status;
  }
  if (absl::Status status = AppendLost(); !status.ok()) return status;
  missing_chunks_ += current_->missing_chunks();
  threads_done_.insert(current_thread_);
  current_.reset();
  return absl::OkStatus();
}

absl::Status RecordingLoader::AppendCall(const SweptCall& call) {
  const PathTable::Entry& path = paths_[call.path];
  calls_->Set<uint64_t>(0, current_process_);
  calls_->Set<uint64_t>(1, current_thread_);
  calls_->Set<uint64_t>(2, call.ordinal);
  calls_->Set<uint64_t>(3, call.parent_ordinal);
  if (call.parent_ordinal == 0) calls_->SetNull(3);
  calls_->Set<uint64_t>(4, path.function_id);
  calls_->Set<uint64_t>(5, path.path_id);
  calls_->Set<int64_t>(6, call.start_ns);
  if (call.is_open()) {
    ++calls_open_;
    calls_->SetNull(7);
    calls_->SetNull(8);
  } else {
    ++calls_timed_;
    calls_->Set<int64_t>(7, call.end_ns - call.start_ns);
    calls_->Set<int64_t>(8, std::max<int64_t>(call.self_ns, 0));
  }
  calls_->Set<int32_t>(9, path.depth);
  calls_->Set<bool>(10, call.outermost);
  return calls_->EndRow();
}

absl::Status RecordingLoader::AppendUntimed(uint64_t function_id, uint64_t calls, bool filtered) {
  lost_out_->Set<uint64_t>(0, current_thread_);
  lost_out_->Set<uint64_t>(1, function_id);
  if (function_id == 0) lost_out_->SetNull(1);
  lost_out_->Set<uint64_t>(2, calls);
  lost_out_->Set<bool>(3, filtered);
  return lost_out_->EndRow();
}

absl::Status RecordingLoader::AppendLost() {
  for (const auto& [function_id, calls] : current_->filtered()) {
    if (absl::Status status = AppendUntimed(function_id, calls, true); !status.ok()) return status;
    calls_filtered_ += calls;
    filtered_functions_.insert(function_id);
  }
  for (const auto& [function_id, calls] : current_->lost()) {
    if (absl::Status status = AppendUntimed(function_id, calls, false); !status.ok()) return status;
    calls_lost_ += calls;
    if (function_id != 0) lost_by_function_[function_id] += calls;
  }
  return absl::OkStatus();
}

absl::Status RecordingLoader::AppendPaths() {
  for (uint32_t i = 0; i < paths_.size(); ++i) {
    const PathTable::Entry& path = paths_[i];
    paths_out_->Set<uint64_t>(0, path.path_id);
    paths_out_->Set<uint64_t>(1, path.parent_path_id);
    if (path.parent == PathTable::kNone) paths_out_->SetNull(1);
    paths_out_->Set<uint64_t>(2, path.function_id);
    paths_out_->Set<int32_t>(3, path.depth);
    if (absl::Status status = paths_out_->EndRow(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status RecordingLoader::AppendUnlistedFunctions() {
  // Without a row here a join on function_id would drop calls from counts.
  const auto add = [this](uint64_t function_id) {
    if (functions_listed_.contains(function_id)) return absl::OkStatus();
    trace::v1::Function unlisted;
    unlisted.set_function_id(function_id);
    unlisted.set_name(absl::StrCat("unknown function ", ids::Hex16(function_id)));
    return AddFunction(unlisted);
  };
  for (uint32_t i = 0; i < paths_.size(); ++i) {
    if (absl::Status status = add(paths_[i].function_id); !status.ok()) return status;
  }
  for (const auto& [function_id, calls] : lost_by_function_) {
    if (absl::Status status = add(function_id); !status.ok()) return status;
  }
  for (const uint64_t function_id : filtered_functions_) {
    if (absl::Status status = add(function_id); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status RecordingLoader::AppendRecording(const trace::v1::Recording& recording) {
  recordings_->SetText(0, RecordingId(recording));
  recordings_->SetText(1, StateName(recording.state()));
  recordings_->Set<int64_t>(2, Nanoseconds(recording.start_time()));
  recordings_->Set<int64_t>(3, Nanoseconds(recording.end_time()));
  if (!recording.has_end_time()) recordings_->SetNull(3);
  recordings_->SetText(4, absl::StrJoin(recording.command(), " "));
  return recordings_->EndRow();
}

absl::StatusOr<trace::v1::Completeness> RecordingLoader::Finish(
    const trace::v1::Recording& recording) {
  if (absl::Status status = FinishThread(); !status.ok()) return status;
  if (absl::Status status = AppendPaths(); !status.ok()) return status;
  if (absl::Status status = AppendUnlistedFunctions(); !status.ok()) return status;
  if (absl::Status status = AppendRecording(recording); !status.ok()) return status;
  if (absl::Status status = CloseAppenders(); !status.ok()) return status;
  if (absl::Status status = connection_->Execute(kCreateRollups); !status.ok()) return status;
  const std::string view = CreateCallsView(RecordingId(recording));
  if (absl::Status status = connection_->Execute(view); !status.ok()) return status;
  return Completeness(recording);
}

trace::v1::Completeness RecordingLoader::Completeness(const trace::v1::Recording& recording) const {
  trace::v1::Completeness result = recording.completeness();
  result.set_calls_recorded(calls_timed_);
  result.set_calls_open(calls_open_);
  // Chunks do not tell calls that were too deep apart, the tracer does. It also knows of calls whose
  // chunks never arrived.
  const uint64_t lost = calls_lost_ - std::min(calls_lost_, result.calls_too_deep());
  result.set_calls_lost(std::max(result.calls_lost(), lost));
  result.set_calls_filtered(std::max(result.calls_filtered(), calls_filtered_));
  const bool done = recording.state() == trace::v1::RECORDING_STATE_SEALED ||
                    recording.state() == trace::v1::RECORDING_STATE_FAILED;
  result.set_still_recording(!done);
  if (missing_chunks_ > 0) {
    result.add_notes(absl::StrCat(missing_chunks_,
                                  " chunks between others are missing; the calls "
                                  "in them are not counted."));
  }
  if (lost_by_function_.empty()) return result;
  std::vector<std::pair<uint64_t, uint64_t>> by_calls(lost_by_function_.begin(),
                                                      lost_by_function_.end());
  std::stable_sort(by_calls.begin(), by_calls.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  by_calls.resize(std::min(by_calls.size(), kMaxLostByFunction));
  result.clear_lost_by_function();
  for (const auto& [function_id, calls] : by_calls) {
    trace::v1::LostCalls* entry = result.add_lost_by_function();
    entry->set_function_id(function_id);
    entry->set_calls(calls);
  }
  return result;
}

}  // namespace flightrec::query_engine
