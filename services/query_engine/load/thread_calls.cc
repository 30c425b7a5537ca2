#include "services/query_engine/load/thread_calls.h"

#include <algorithm>
#include <utility>

namespace flightrec::query_engine {
namespace {

bool ByOrdinal(const SweptCall& a, const SweptCall& b) {
  // An ended call comes before the open one of the same ordinal, so that it is
  // the one that stays.
  return a.ordinal != b.ordinal ? a.ordinal < b.ordinal : a.end_ns < b.end_ns;
}

}  // namespace

void ThreadCalls::Add(const chunk::CallChunk& chunk) {
  const uint64_t ordinal = chunk.header.chunk_ordinal;
  if (ordinal < next_chunk_ordinal_) return;  // sent twice
  missing_chunks_ += ordinal - next_chunk_ordinal_;
  next_chunk_ordinal_ = ordinal + 1;
  AddCalls(chunk);
  AddLost(chunk);
  KeepOpenCalls(chunk);
}

void ThreadCalls::AddCalls(const chunk::CallChunk& chunk) {
  std::vector<uint32_t> path_of(chunk.paths.size());
  for (size_t i = 0; i < path_of.size(); ++i) {
    path_of[i] = paths_.Add(chunk.paths[i].path_id, chunk.paths[i].function_id);
  }
  const chunk::CallColumns& columns = chunk.calls;
  const clock::Calibration& calibration = chunk.header.calibration;
  for (size_t i = 0; i < columns.size(); ++i) {
    const uint64_t start = columns.start_ticks[i];
    // The end is converted, not the duration: rounding then keeps the nesting.
    calls_.push_back({.ordinal = columns.ordinal[i],
                      .start_ns = clock::ToEpochNs(calibration, start),
                      .end_ns = clock::ToEpochNs(calibration, start + columns.duration_ticks[i]),
                      .path = path_of[columns.path_index[i]]});
  }
}

void ThreadCalls::AddLost(const chunk::CallChunk& chunk) {
  uint64_t unknown = chunk.header.lost_before_total;
  for (const chunk::LostCalls& lost : chunk.lost_before) {
    lost_[lost.function_id] += lost.count;
    unknown -= std::min(unknown, lost.count);
  }
  if (unknown > 0) lost_[0] += unknown;
  for (const chunk::LostCalls& left_out : chunk.filtered_before) {
    filtered_[left_out.function_id] += left_out.count;
  }
}

void ThreadCalls::KeepOpenCalls(const chunk::CallChunk& chunk) {
  open_.clear();
  for (const chunk::OpenCall& call : chunk.open_calls) {
    open_.push_back({.ordinal = call.ordinal,
                     .start_ns = clock::ToEpochNs(chunk.header.calibration, call.start_ticks),
                     .end_ns = SweptCall::kOpen,
                     .path = paths_.Add(call.path_id, call.function_id)});
  }
}

std::vector<SweptCall> ThreadCalls::TakeCalls() {
  std::vector<SweptCall> calls = std::move(calls_);
  calls_.clear();
  calls.insert(calls.end(), open_.begin(), open_.end());
  open_.clear();
  if (!std::is_sorted(calls.begin(), calls.end(), ByOrdinal)) {
    std::sort(calls.begin(), calls.end(), ByOrdinal);
  }
  const auto same_ordinal = [](const SweptCall& a, const SweptCall& b) {
    return a.ordinal == b.ordinal;
  };
  calls.erase(std::unique(calls.begin(), calls.end(), same_ordinal), calls.end());
  return calls;
}

}  // namespace flightrec::query_engine
