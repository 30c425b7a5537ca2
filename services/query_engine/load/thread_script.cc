#include "services/query_engine/load/thread_script.h"

#include <utility>

#include "common/path/path.h"

namespace flightrec::query_engine {

ThreadScript& ThreadScript::Enter(uint64_t at, uint64_t function_id) {
  const uint64_t parent = stack_.empty() ? kRootPath : stack_.back().path_id;
  stack_.push_back({.ordinal = ++last_ordinal_,
                    .path_id = ExtendPath(parent, function_id),
                    .function_id = function_id,
                    .start_ticks = at});
  return *this;
}

ThreadScript& ThreadScript::Leave(uint64_t at) {
  const chunk::OpenCall call = stack_.back();
  stack_.pop_back();
  builder_.Add({.ordinal = call.ordinal,
                .path_id = call.path_id,
                .start_ticks = call.start_ticks,
                .duration_ticks = at - call.start_ticks},
               call.function_id);
  return *this;
}

ThreadScript& ThreadScript::LeaveLost(uint64_t /*at*/) {
  lost_.push_back({.function_id = stack_.back().function_id, .count = 1});
  stack_.pop_back();
  return *this;
}

chunk::CallChunk ThreadScript::Seal(bool is_final) {
  chunk::CallChunk chunk = builder_.Build();
  chunk.header.process_id = kProcess;
  chunk.header.thread_id = thread_id_;
  chunk.header.tid = static_cast<uint32_t>(thread_id_ + 100);
  chunk.header.chunk_ordinal = chunk_ordinal_++;
  chunk.header.is_final = is_final;
  chunk.header.calibration = {.ns_per_tick_q32 = uint64_t{1} << 32};
  chunk.header.lost_before_total = lost_.size();
  chunk.lost_before = std::exchange(lost_, {});
  chunk.open_calls = is_final ? stack_ : std::exchange(open_at_start_, stack_);
  return chunk;
}

}  // namespace flightrec::query_engine
