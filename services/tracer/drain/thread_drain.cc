#include "services/tracer/drain/thread_drain.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/chunk/codec.h"
#include "common/chunk/format.h"

namespace flightrec::drain {
namespace {

// Rows [begin, end) of `whole` with their paths; losses and open calls stay with the first part.
chunk::CallChunk Part(const chunk::CallChunk& whole, size_t begin, size_t end) {
  chunk::CallChunkBuilder builder;
  for (size_t i = begin; i < end; ++i) {
    const chunk::PathEntry& path = whole.paths[whole.calls.path_index[i]];
    builder.Add({.ordinal = whole.calls.ordinal[i],
                 .path_id = path.path_id,
                 .start_ticks = whole.calls.start_ticks[i],
                 .duration_ticks = whole.calls.duration_ticks[i]},
                path.function_id);
  }
  chunk::CallChunk part = builder.Build();
  if (begin == 0) part.open_calls = whole.open_calls;
  return part;
}

}  // namespace

ThreadDrain::ThreadDrain(const ProcessIdentity& process, const DrainedThread& thread,
                         const lane::DrainProgress& progress)
    : process_(process), thread_(thread), next_chunk_ordinal_(progress.chunks) {
  ordinals_.Resume(progress.ordinal, progress.start_ticks);
  totals_.threads = 1;
}

void ThreadDrain::Add(absl::Span<const lane::CallRecord> records, absl::Duration now) {
  if (records.empty()) return;
  if (call_count() == 0) first_added_ = now;
  const ids::FunctionId* const functions = process_.functions.data();
  const size_t function_count = process_.functions.size();
  while (!records.empty()) {
    const auto malformed = std::find_if(records.begin(), records.end(), [&](const auto& record) {
      return record.function_index >= function_count;
    });
    const auto good = static_cast<size_t>(malformed - records.begin());
    builder_.AddAll(good, [&](size_t i) {
      const lane::CallRecord& record = records[i];
      return chunk::CallChunkBuilder::CallOfFunction{
          {.ordinal = ordinals_.Extend(record.ordinal_low, record.start_ticks),
           .path_id = record.path,
           .start_ticks = record.start_ticks,
           .duration_ticks = record.end_ticks - record.start_ticks},
          functions[record.function_index]};
    });
    if (good == records.size()) return;
    ++totals_.lost_malformed;
    ++lost_;
    records.remove_prefix(good + 1);
  }
}

void ThreadDrain::Lose(ids::FunctionId function_id, uint64_t calls) {
  lost_by_function_[function_id] += calls;
  totals_.lost_by_function[function_id] += calls;
}

void ThreadDrain::AddLosses(const lane::Losses& losses) {
  untold_ += losses.full + losses.depth + losses.migrated;
  totals_.lost_lane_full += losses.full;
  totals_.lost_too_deep += losses.depth;
  totals_.lost_migrated += losses.migrated;
  for (const lane::FunctionLoss& loss : losses.functions) {
    if (loss.function_index >= process_.functions.size()) continue;
    Lose(process_.functions[loss.function_index], loss.calls);
    lost_ += loss.calls;
    untold_ -= loss.calls;
  }
  for (const lane::FunctionLoss& left_out : losses.filtered) {
    totals_.filtered += left_out.calls;
    if (left_out.function_index >= process_.functions.size()) continue;
    filtered_by_function_[process_.functions[left_out.function_index]] += left_out.calls;
  }
}

std::vector<chunk::OpenCall> ThreadDrain::Translate(absl::Span<const lane::OpenCall> calls,
                                                    size_t limit) {
  if (calls.size() > limit) calls.remove_prefix(calls.size() - limit);
  std::vector<chunk::OpenCall> open;
  open.reserve(calls.size());
  for (const lane::OpenCall& call : calls) {
    if (call.function_index >= process_.functions.size()) continue;
    open.push_back({.ordinal = ordinals_.Extend(call.ordinal_low, call.start_ticks),
                    .path_id = call.path,
                    .function_id = process_.functions[call.function_index],
                    .start_ticks = call.start_ticks});
  }
  return open;
}

void ThreadDrain::SetOpenCalls(absl::Span<const lane::OpenCall> calls) {
  open_calls_ = Translate(calls, kMaxListedOpenCalls);
}

size_t ThreadDrain::call_count() const {
  size_t count = builder_.call_count();
  for (const chunk::CallChunk& part : parts_) count += part.calls.size();
  return count;
}

chunk::ChunkHeader ThreadDrain::MakeHeader() const {
  chunk::ChunkHeader header;
  header.recording = process_.recording;
  header.process_id = process_.process_id;
  header.thread_id = thread_.thread_id;
  header.tid = thread_.tid;
  header.chunk_ordinal = next_chunk_ordinal_;
  header.calibration = process_.calibration;
  return header;
}

uint64_t ThreadDrain::ClockError(const chunk::CallChunk& chunk) const {
  if (process_.clock_error == nullptr) return 0;
  uint64_t first = ~uint64_t{0};
  for (const uint64_t start : chunk.calls.start_ticks) first = std::min(first, start);
  for (const chunk::OpenCall& call : chunk.open_calls) first = std::min(first, call.start_ticks);
  return process_.clock_error(first);
}

void ThreadDrain::TellLosses(chunk::CallChunk& chunk) {
  chunk.header.lost_before_total = std::exchange(lost_, 0);
  for (const auto& [function_id, count] : lost_by_function_) {
    if (chunk.lost_before.size() == chunk::kMaxLostFunctionsPerChunk / 2) break;
    chunk.lost_before.push_back({function_id, count});
  }
  lost_by_function_.clear();
  // Behind the final chunk comes none for the rest.
  const size_t most = chunk::kMaxFilteredFunctionsPerChunk / (chunk.header.is_final ? 1 : 4);
  while (!filtered_by_function_.empty() && chunk.filtered_before.size() < most) {
    const auto first = filtered_by_function_.begin();
    chunk.filtered_before.push_back({first->first, first->second});
    filtered_by_function_.erase(first);
  }
  if (!chunk.filtered_before.empty()) chunk.header.required_features |= chunk::kFeatureFiltered;
  std::sort(chunk.lost_before.begin(), chunk.lost_before.end(),
            [](const auto& a, const auto& b) { return a.function_id < b.function_id; });
  std::sort(chunk.filtered_before.begin(), chunk.filtered_before.end(),
            [](const auto& a, const auto& b) { return a.function_id < b.function_id; });
}

void ThreadDrain::UntellLosses(const chunk::CallChunk& chunk) {
  lost_ += chunk.header.lost_before_total;
  for (const chunk::LostCalls& loss : chunk.lost_before) {
    lost_by_function_[loss.function_id] += loss.count;
  }
  for (const chunk::LostCalls& left_out : chunk.filtered_before) {
    filtered_by_function_[left_out.function_id] += left_out.count;
  }
}

EncodedChunk ThreadDrain::Sealed(std::string bytes, uint64_t calls) {
  ++next_chunk_ordinal_;
  ++totals_.chunks;
  totals_.chunk_bytes += bytes.size();
  totals_.calls += calls;
  return {std::move(bytes), calls};
}

absl::optional<EncodedChunk> ThreadDrain::Seal(int compression_level) {
  if (parts_.empty()) {
    const size_t added = builder_.call_count();
    if (added == 0) return absl::nullopt;
    // In the memory of the chunk before.
    chunk::CallChunk whole = std::move(last_);
    builder_.BuildInto(whole);
    whole.open_calls = std::move(open_calls_);
    open_calls_.clear();
    // Two records of one call: only a target that writes over its lane does that.
    const uint64_t repeated = added - whole.calls.size();
    totals_.lost_malformed += repeated;
    lost_ += repeated;
    parts_.push_back(std::move(whole));
  }
  while (true) {
    chunk::CallChunk chunk = std::move(parts_.back());
    parts_.pop_back();
    const chunk::ChunkHeader header = MakeHeader();
    chunk.header = header;
    chunk.header.clock_error_ticks = ClockError(chunk);
    TellLosses(chunk);
    absl::StatusOr<std::string> bytes = chunk::EncodeCallChunk(chunk, compression_level);
    if (bytes.ok()) {
      last_ = std::move(chunk);
      return Sealed(*std::move(bytes), last_.calls.size());
    }
    UntellLosses(chunk);
    const size_t count = chunk.calls.size();
    if (count < 2) {
      totals_.lost_malformed += count;
      lost_ += count;
      return absl::nullopt;
    }
    parts_.push_back(Part(chunk, count / 2, count));
    parts_.push_back(Part(chunk, 0, count / 2));
  }
}

void ThreadDrain::TakeBack() {
  --next_chunk_ordinal_;
  --totals_.chunks;
  totals_.calls -= last_.calls.size();
  UntellLosses(last_);
  lost_ += last_.calls.size();
  totals_.lost_spool_full += last_.calls.size();
  for (const uint32_t path : last_.calls.path_index) Lose(last_.paths[path].function_id, 1);
  last_ = chunk::CallChunk();
}

EncodedChunk ThreadDrain::SealFinal(absl::Span<const lane::OpenCall> never_ended,
                                    int compression_level) {
  chunk::CallChunk chunk;
  chunk.header = MakeHeader();
  chunk.header.is_final = true;
  // Negative if the last functions were counted and their causes not: the thread ended in between,
  // or runs on.
  const auto untold = static_cast<int64_t>(std::exchange(untold_, 0));
  if (untold > 0) lost_ += static_cast<uint64_t>(untold);
  TellLosses(chunk);
  chunk.open_calls = Translate(never_ended, chunk::kMaxOpenCallsPerChunk);
  if (!chunk.open_calls.empty()) chunk.header.clock_error_ticks = ClockError(chunk);
  totals_.open_calls = chunk.open_calls.size();
  absl::StatusOr<std::string> bytes = chunk::EncodeCallChunk(chunk, compression_level);
  // Without calls, only open calls that make no sense can be too much; the innermost say most.
  while (!bytes.ok() && !chunk.open_calls.empty()) {
    chunk.open_calls.erase(
        chunk.open_calls.begin(),
        chunk.open_calls.begin() + static_cast<std::ptrdiff_t>((chunk.open_calls.size() + 1) / 2));
    bytes = chunk::EncodeCallChunk(chunk, compression_level);
  }
  return Sealed(bytes.value_or(""), 0);
}

}  // namespace flightrec::drain
