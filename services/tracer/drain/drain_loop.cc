#include "services/tracer/drain/drain_loop.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "common/ids/entity_id.h"

namespace flightrec::drain {
namespace {

// The share of a lane that the pause aims to find used: room for what comes while chunks are
// encoded and while the machine runs something else.
constexpr double kWantedFill = 0.1;
// Above it the loop does not pause at all.
constexpr double kHighFill = 0.4;
constexpr absl::Duration kMinPause = absl::Microseconds(100);
// Records are taken out of a lane in steps that stay in the processor's first cache.
constexpr size_t kRecordsAtOnce = 256;
// How much longer the pause may get at once.
constexpr double kMaxGrowth = 2;

}  // namespace

DrainLoop::DrainLoop(lane::LaneReader& reader, ProcessIdentity process, const DrainOptions& options,
                     clock::Clock& clock, FindEnded find_ended, DrainSink& sink)
    : reader_(reader),
      process_(std::move(process)),
      options_(options),
      clock_(clock),
      find_ended_(std::move(find_ended)),
      sink_(sink),
      buffer_(kRecordsAtOnce) {}

DrainLoop::~DrainLoop() { Finish(); }

void DrainLoop::Start() {
  thread_ = std::thread([this] { Run(); });
}

DrainTotals DrainLoop::Finish() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  if (thread_.joinable()) thread_.join();
  return Totals();
}

DrainTotals DrainLoop::Totals() const {
  absl::MutexLock lock(&mutex_);
  return totals_;
}

void DrainLoop::AddFunctions(absl::Span<const ids::FunctionId> functions) {
  absl::MutexLock lock(&mutex_);
  new_functions_.insert(new_functions_.end(), functions.begin(), functions.end());
  const auto taken = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return new_functions_.empty() || ended_;
  };
  mutex_.Await(absl::Condition(&taken));
}

void DrainLoop::TakeNewFunctions() {
  absl::MutexLock lock(&mutex_);
  process_.functions.insert(process_.functions.end(), new_functions_.begin(), new_functions_.end());
  new_functions_.clear();
}

void DrainLoop::Run() {
  // 0 is this thread. Not permitted to everyone: then it stays an ordinary one.
  static_cast<void>(setpriority(PRIO_PROCESS, 0, options_.niceness));
  bool stop = false;
  while (!stop) {
    const absl::Duration pause = PauseAfter(DrainOnce());
    absl::MutexLock lock(&mutex_);
    stop = pause == absl::ZeroDuration()
               ? stop_
               : clock_.AwaitWithTimeout(mutex_, absl::Condition(&stop_), pause);
  }
  FindThreads();
  for (const std::unique_ptr<LaneDrain>& lane : lanes_) EndThread(*lane);
  lanes_.clear();
  PublishTotals();
  absl::MutexLock lock(&mutex_);
  ended_ = true;
}

double DrainLoop::DrainOnce() {
  TakeNewFunctions();
  FindThreads();
  double fill = 0;
  for (const std::unique_ptr<LaneDrain>& lane : lanes_) fill = std::max(fill, DrainLane(*lane));
  const absl::Duration now = clock_.Monotonic();
  if (now >= next_thread_check_) {
    EndThreads();
    PublishTotals();
    next_thread_check_ = now + options_.thread_check_interval;
  }
  return fill;
}

double DrainLoop::DrainLane(LaneDrain& lane) {
  ThreadDrain& drain = lane.drain;
  const size_t limit = RoomIn(drain);
  size_t taken = 0;
  absl::Duration now = clock_.Monotonic();
  while (taken < limit) {
    const absl::Span<lane::CallRecord> room =
        absl::MakeSpan(buffer_).first(std::min(limit - taken, buffer_.size()));
    const size_t count = reader_.Drain(lane.slot, room);
    if (count == 0) break;
    if (drain.call_count() == 0) BeginChunk(lane, room[0].end_ticks);
    drain.Add(room.first(count), now);
    taken += count;
  }
  now = clock_.Monotonic();
  const bool full = drain.call_count() >= options_.max_calls_per_chunk;
  const bool old = drain.call_count() > 0 && now - drain.first_added() >= options_.max_chunk_age;
  if (full || old) SealAll(lane);
  // More may be there if all room was used.
  if (taken == limit) return 1;
  return static_cast<double>(taken) / static_cast<double>(options_.lane_calls);
}

size_t DrainLoop::RoomIn(const ThreadDrain& drain) const {
  const size_t most = options_.max_calls_per_chunk;
  return std::min(options_.lane_calls, most - std::min(drain.call_count(), most));
}

void DrainLoop::BeginChunk(LaneDrain& lane, uint64_t begin_ticks) {
  std::vector<lane::OpenCall> open = reader_.OpenCalls(lane.slot);
  // Those that began behind the first call to end here were not open when the chunk began.
  open.erase(std::remove_if(open.begin(), open.end(),
                            [&](const auto& call) { return call.start_ticks > begin_ticks; }),
             open.end());
  lane.drain.SetOpenCalls(open);
}

void DrainLoop::FindThreads() {
  for (const lane::LaneThread& found : reader_.Threads()) {
    const bool known = std::any_of(lanes_.begin(), lanes_.end(), [&](const auto& lane) {
      return lane->slot == found.slot && lane->drain.thread().ordinal == found.ordinal;
    });
    if (known) continue;
    const DrainedThread thread = {
        ids::ComputeThreadId(process_.process_id, found.tid, found.ordinal), found.tid,
        found.ordinal};
    sink_.OnThread(thread);
    lanes_.push_back(std::make_unique<LaneDrain>(
        LaneDrain{found.slot, ThreadDrain(process_, thread, reader_.progress(found.slot))}));
  }
}

void DrainLoop::EndThreads() {
  const std::vector<uint64_t> ended = find_ended_(reader_.Threads());
  for (size_t i = 0; i < lanes_.size();) {
    LaneDrain& lane = *lanes_[i];
    if (std::find(ended.begin(), ended.end(), lane.drain.thread().ordinal) == ended.end()) {
      ++i;
      continue;
    }
    EndThread(lane);
    reader_.Release(lane.slot);
    lanes_.erase(lanes_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void DrainLoop::EndThread(LaneDrain& lane) {
  // As often as it takes to empty a full lane: a program that runs on never leaves it empty.
  const size_t most =
      options_.lane_calls / std::min<size_t>(options_.lane_calls, options_.max_calls_per_chunk) + 2;
  for (size_t i = 0; i < most && DrainLane(lane) > 0; ++i) {
  }
  SealAll(lane);
  EncodedChunk last =
      lane.drain.SealFinal(reader_.OpenCalls(lane.slot), options_.compression_level);
  reader_.SetProgress(lane.slot, lane.drain.progress());
  sink_.OnFinalChunk(std::move(last));
  ended_totals_.Add(lane.drain.totals());
}

void DrainLoop::SealAll(LaneDrain& lane) {
  lane.drain.AddLosses(reader_.TakeLosses(lane.slot));
  while (lane.drain.call_count() > 0) {
    absl::optional<EncodedChunk> chunk = lane.drain.Seal(options_.compression_level);
    reader_.SetProgress(lane.slot, lane.drain.progress());
    if (chunk.has_value() && !sink_.OnChunk(*std::move(chunk))) lane.drain.TakeBack();
  }
}

absl::Duration DrainLoop::PauseAfter(double fill) {
  if (fill >= kHighFill) {
    pause_ = kMinPause;
    return absl::ZeroDuration();
  }
  const double growth = fill > 0 ? std::min(kWantedFill / fill, kMaxGrowth) : kMaxGrowth;
  pause_ = std::clamp(pause_ * growth, std::min(kMinPause, options_.max_pause), options_.max_pause);
  return pause_;
}

void DrainLoop::PublishTotals() {
  DrainTotals totals = ended_totals_;
  for (const std::unique_ptr<LaneDrain>& lane : lanes_) totals.Add(lane->drain.totals());
  absl::MutexLock lock(&mutex_);
  totals_ = std::move(totals);
}

}  // namespace flightrec::drain
