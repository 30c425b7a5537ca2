#include "common/testing/synthetic_calls.h"

#include <utility>

#include "common/ids/entity_id.h"
#include "common/path/path.h"

namespace flightrec::testing {

SyntheticThread::SyntheticThread(uint64_t seed) : random_(seed) {
  functions_.resize(kFunctions);
  for (size_t i = 0; i < kFunctions; ++i) {
    Function& function = functions_[i];
    function.id = ids::ComputeFunctionId("synthetic", 16 * i);
    function.self_ticks = 30 + random_() % 400;
    const size_t callees = Chance(50) ? 0 : 1 + random_() % kMaxCallees;
    for (size_t k = 0; k < callees; ++k) {
      function.callees.push_back(random_() % kFunctions);
    }
  }
  functions_[0].callees = {1, 2, 3, 4, 5};
}

std::vector<EndedCall> SyntheticThread::Run(size_t count) {
  ended_.clear();
  wanted_ = last_ordinal_ + count;
  while (last_ordinal_ < wanted_) RunCall(0, kRootPath, 0);
  return std::move(ended_);
}

void SyntheticThread::RunCall(size_t function, uint64_t parent_path, size_t depth) {
  const Function& self = functions_[function];
  EndedCall ended;
  ended.function_id = self.id;
  ended.call.ordinal = ++last_ordinal_;
  ended.call.path_id = ExtendPath(parent_path, self.id);
  Pass(self.self_ticks / 4);
  ended.call.start_ticks = now_ticks_;
  for (const size_t callee : self.callees) {
    Pass(self.self_ticks);
    size_t times = Chance(70) ? 1 : random_() % 6;
    for (; times > 0 && depth < kMaxDepth && last_ordinal_ < wanted_; --times) {
      RunCall(callee, ended.call.path_id, depth + 1);
    }
  }
  Pass(self.self_ticks);
  ended.call.duration_ticks = now_ticks_ - ended.call.start_ticks;
  ended_.push_back(ended);
}

void SyntheticThread::Pass(uint64_t ticks) {
  now_ticks_ += ticks + random_() % (ticks / 8 + 8);
  if (random_() % 512 == 0) now_ticks_ += random_() % 20'000;
}

bool SyntheticThread::Chance(unsigned percent) { return random_() % 100 < percent; }

chunk::CallChunk MakeCallChunk(const std::vector<EndedCall>& calls, uint64_t chunk_ordinal) {
  chunk::CallChunkBuilder builder;
  for (const EndedCall& ended : calls) {
    builder.Add(ended.call, ended.function_id);
  }
  chunk::CallChunk made = builder.Build();
  ids::Ulid::Bytes recording{};
  for (size_t i = 0; i < recording.size(); ++i) {
    recording[i] = static_cast<uint8_t>(i + 1);
  }
  made.header.recording = ids::Ulid(recording);
  made.header.process_id = 0x1111222233334444;
  made.header.thread_id = 0x5555666677778888;
  made.header.tid = 4242;
  made.header.chunk_ordinal = chunk_ordinal;
  made.header.calibration = {.ref_ticks = 1'000'000'000,
                             .ref_epoch_ns = 1'700'000'000'000'000'000,
                             .ns_per_tick_q32 = uint64_t{1} << 31,
                             .uncertainty_ns = 25};
  return made;
}

}  // namespace flightrec::testing
