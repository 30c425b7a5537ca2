#include "services/tracer/recorder/recording_run.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/ids/entity_id.h"
#include "common/ids/resource_name.h"
#include "services/tracer/recorder/completeness.h"
#include "services/tracer/target/thread_filter.h"
#include "services/tracer/target/thread_ids.h"
#include "services/tracer/target/thread_watch.h"

namespace flightrec::tracer {
namespace {

// How soon a stop request is seen.
constexpr absl::Duration kStopCheck = absl::Milliseconds(50);
// A program that goes on for so long after SIGTERM gets SIGKILL.
constexpr absl::Duration kTerminationGrace = absl::Seconds(10);
// As a shell says that a signal ended a program.
constexpr int kSignalBase = 128;
// Functions in one message: well below the 1 MiB a message may have.
constexpr size_t kFunctionsPerTable = 1000;
constexpr size_t kMaxNotes = 20;
constexpr const char* kNotHooked = "functions of libraries loaded later are not hooked";
constexpr const char* kNotAnswered = "an unwinder loaded later may not cross hooked functions";

void SetTimestamp(absl::Time time, google::protobuf::Timestamp* timestamp) {
  const timespec parts = absl::ToTimespec(time);
  timestamp->set_seconds(parts.tv_sec);
  timestamp->set_nanos(static_cast<int32_t>(parts.tv_nsec));
}

std::string ThreadName(pid_t pid, uint32_t tid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/task/", tid, "/comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

trace::v1::RecordingState ToProto(RecordingState state) {
  return static_cast<trace::v1::RecordingState>(static_cast<int>(state) + 1);
}
static_assert(static_cast<int>(RecordingState::kCreated) + 1 == trace::v1::RECORDING_STATE_CREATED);
static_assert(static_cast<int>(RecordingState::kFailed) + 1 == trace::v1::RECORDING_STATE_FAILED);

}  // namespace

absl::StatusOr<std::shared_ptr<RecordingRun>> RecordingRun::Launch(
    const RecordingEnvironment& environment, const LaunchSpec& spec) {
  absl::StatusOr<RecordedProgram> program = LaunchProgram(environment, spec);
  if (!program.ok()) return program.status();
  return Begin(environment, spec, *std::move(program));
}

absl::StatusOr<std::shared_ptr<RecordingRun>> RecordingRun::Attach(
    const RecordingEnvironment& environment, const AttachSpec& spec) {
  absl::StatusOr<RecordedProgram> program = AttachProgram(environment, spec);
  if (!program.ok()) return program.status();
  return Begin(environment, spec, *std::move(program));
}

std::shared_ptr<RecordingRun> RecordingRun::Begin(const RecordingEnvironment& environment,
                                                  const RecordingSpec& spec,
                                                  RecordedProgram program) {
  std::shared_ptr<RecordingRun> run(new RecordingRun(environment, spec));
  run->Adopt(std::move(program));
  run->Describe(spec);
  run->StartDrain();
  if (!run->launched_) {
    environment.logger->Info(
        "attached", {{"recording", run->name_},
                     {"pid", run->program_->pid()},
                     {"stopped_us", absl::ToInt64Microseconds(run->program_->attach_stopped())}});
  }
  run->thread_ = std::thread([raw = run.get()] { raw->Run(); });
  return run;
}

RecordingRun::RecordingRun(const RecordingEnvironment& environment, const RecordingSpec& spec)
    : environment_(environment),
      id_(spec.recording),
      name_(ids::RecordingResourceName(spec.recording)),
      thread_names_(spec.thread_names) {}

RecordingRun::~RecordingRun() {
  RequestStop(/*terminate_program=*/false);
  if (thread_.joinable()) thread_.join();
}

void RecordingRun::Adopt(RecordedProgram program) {
  program_ = std::move(program.process);
  launched_ = program.launched;
  absl::MutexLock probes(&probes_mutex_);
  absl::MutexLock lock(&mutex_);
  probes_.Start(std::move(program.pattern), program.plan);
  modules_ = std::move(program.modules);
  failures_ = program_->failures();
  functions_hooked_ = probes_.functions().size() - failures_.size();
  process_.set_executable(program.executable);
  SetTimestamp(program.start, process_.mutable_start_time());
  *recording_.mutable_command() = {program.command.begin(), program.command.end()};
}

void RecordingRun::Describe(const RecordingSpec& spec) {
  const lane::ProcessIdentity& identity = program_->identity();
  process_id_ = ids::ComputeProcessId(identity.boot_id, identity.pid, identity.start_ticks);
  const absl::Time now = environment_.clock->Now();
  absl::MutexLock lock(&mutex_);
  recording_.set_name(name_);
  SetTimestamp(now, recording_.mutable_start_time());
  *recording_.mutable_patterns() = {spec.patterns.begin(), spec.patterns.end()};
  for (const auto& label : spec.labels) (*recording_.mutable_labels())[label.first] = label.second;
  process_.set_name(ids::ProcessResourceName(id_, process_id_));
  process_.set_process_id(process_id_);
  process_.set_pid(program_->pid());
  *process_.mutable_command() = recording_.command();
  process_.set_host(environment_.host);
  trace::v1::Calibration* calibration = process_.mutable_calibration();
  calibration->set_ref_ticks(environment_.calibration.ref_ticks);
  calibration->set_ref_epoch_ns(environment_.calibration.ref_epoch_ns);
  calibration->set_ns_per_tick_q32(environment_.calibration.ns_per_tick_q32);
  calibration->set_uncertainty_ns(environment_.calibration.uncertainty_ns);
  Advance(RecordingState::kArmed);
  Advance(RecordingState::kRecording);
}

void RecordingRun::StartDrain() {
  drain::ProcessIdentity identity;
  identity.recording = id_;
  identity.process_id = process_id_;
  identity.calibration = environment_.calibration;
  if (program_->lane().Has(lane::kCoarseClock)) {
    identity.clock_error = [clock = environment_.coarse_clock](uint64_t since) {
      return clock->LargestGapSince(since);
    };
  }
  for (const trace::v1::Function& function : probes_.functions())
    identity.functions.push_back(function.function_id());
  reader_ = std::make_unique<lane::LaneReader>(
      program_->lane(), [ids = std::make_shared<target::ThreadIds>(program_->pid())](
                            uint32_t tid, uint64_t ordinal) { return ids->OnHost(tid, ordinal); });
  if (program_->taken_over()) TakeHistory();
  drain::DrainOptions options;
  options.lane_calls = program_->lane().layout().ring_bytes / sizeof(lane::CallRecord);
  drain::DrainSink& sink = *this;
  drain_ = std::make_unique<drain::DrainLoop>(
      *reader_, std::move(identity), options, *environment_.clock,
      [watch = std::make_shared<target::ThreadWatch>(program_->pid(), environment_.calibration),
       filter = std::make_shared<target::ThreadFilter>(program_->pid(), thread_names_, *reader_),
       reader = reader_.get()](const std::vector<lane::LaneThread>& threads) {
        filter->Apply(threads);
        std::vector<uint64_t> ended;
        for (const target::EndedThread& thread : watch->FindEnded(threads, reader->RefusedTids())) {
          if (thread.releasable) ended.push_back(thread.thread.ordinal);
        }
        return ended;
      },
      sink);
  {
    absl::MutexLock lock(&mutex_);
    UpdateCompleteness();
    if (manifest_ == nullptr) KeepManifest();
    SendRecording();
    SendProcess();
  }
  SendFunctions(probes_.functions());
  drain_->Start();
  absl::MutexLock lock(&probes_mutex_);
  WatchLibraries();
}

void RecordingRun::WatchLibraries() {
  if (program_->taken_over()) return;
  const bool wanted = probes_.WantsLibraries();
  if (watching_ || (!wanted && !program_->may_load_unwinder())) return;
  watching_ = true;
  const absl::Status watch = program_->WatchLibraries(
      [this](const absl::Status& unwinders) { LibrariesChanged(unwinders); });
  absl::MutexLock lock(&mutex_);
  if (wanted && !watch.ok()) NoteLibraries(kNotHooked, watch);
}

void RecordingRun::NoteLibraries(const char* what, const absl::Status& why) {
  const std::string note = absl::StrCat(what, ": ", why.message());
  if (std::count(notes_.begin(), notes_.end(), note) == 0 && notes_.size() < kMaxNotes)
    notes_.push_back(note);
}

void RecordingRun::LibrariesChanged(const absl::Status& unwinders) {
  absl::MutexLock lock(&probes_mutex_);
  if (probes_closed_) return;
  const absl::Status followed = FollowLibraries();
  absl::MutexLock state(&mutex_);
  if (!unwinders.ok()) NoteLibraries(kNotAnswered, unwinders);
  if (!followed.ok()) NoteLibraries(kNotHooked, followed);
}

absl::Status RecordingRun::FollowLibraries() {
  absl::StatusOr<std::vector<target::MappedModule>> mapped = program_->Modules();
  if (!mapped.ok()) return mapped.status();
  const auto among = [](const std::vector<target::MappedModule>& modules,
                        const target::MappedModule& one) {
    return std::any_of(modules.begin(), modules.end(), [&](const target::MappedModule& other) {
      return other.path == one.path && other.base == one.base;
    });
  };
  std::vector<target::MappedModule> loaded;
  for (const target::MappedModule& module : *mapped) {
    if (!among(modules_, module)) loaded.push_back(module);
  }
  for (const target::MappedModule& module : modules_) {
    if (among(*mapped, module)) continue;
    const size_t live = program_->ForgetCode(module.base, module.end);
    absl::MutexLock lock(&mutex_);
    functions_hooked_ = live;
  }
  modules_ = *std::move(mapped);
  if (loaded.empty()) return absl::OkStatus();
  absl::StatusOr<ProbeChange> change = probes_.PlanLibraries(loaded);
  if (!change.ok()) return change.status();
  return change->hooks.add.empty() && change->refused.empty() ? absl::OkStatus()
                                                              : Make(*change).status();
}

void RecordingRun::SendFunctions(absl::Span<const trace::v1::Function> functions) {
  for (; !functions.empty();
       functions.remove_prefix(std::min(functions.size(), kFunctionsPerTable))) {
    ingest::v1::Item item;
    item.mutable_functions()->set_recording(name_);
    for (const trace::v1::Function& function :
         functions.first(std::min(functions.size(), kFunctionsPerTable)))
      *item.mutable_functions()->add_functions() = function;
    if (manifest_ != nullptr && !program_->taken_over()) {
      // Told when it was made: without it a tracer that takes over cannot name functions.
      manifest_->Add(item).IgnoreError();
    }
    Send(std::move(item));
  }
}

absl::StatusOr<target::HookChangeResult> RecordingRun::Make(const ProbeChange& change) {
  const size_t known = probes_.functions().size();
  if (known + change.functions.size() > program_->lane().layout().function_count) {
    return absl::ResourceExhaustedError(absl::StrCat(
        change.functions.size(), " more functions do not fit: this recording has room for ",
        program_->lane().layout().function_count, ", of which ", known,
        " are taken; name fewer, or name them when the program is launched"));
  }
  // Whoever reads a call of a new function has to know it: the drain and the backend, in this
  // order, before the first call can be made.
  std::vector<ids::FunctionId> ids;
  for (const trace::v1::Function& function : change.functions)
    ids.push_back(function.function_id());
  {
    absl::MutexLock lock(&mutex_);
    probes_.Adopt(change);
  }
  drain_->AddFunctions(ids);
  SendFunctions(change.functions);
  absl::StatusOr<target::HookChangeResult> made = program_->ChangeHooks(change.hooks);
  if (!made.ok()) return made.status();
  absl::MutexLock lock(&mutex_);
  functions_hooked_ = made->live;
  // Of functions tried again only the last answer counts.
  for (const target::ModuleHooks& tried : change.hooks.add) {
    for (const target::Hook& hook : tried.hooks) {
      failures_.erase(std::remove_if(failures_.begin(), failures_.end(),
                                     [&hook](const target::HookFailure& failure) {
                                       return failure.function_index == hook.function_index;
                                     }),
                      failures_.end());
    }
  }
  failures_.insert(failures_.end(), made->failures.begin(), made->failures.end());
  UpdateCompleteness();
  SendProcess();
  SendRecording();
  return made;
}

absl::StatusOr<ProbeUpdate> RecordingRun::UpdateProbes(const std::vector<std::string>& add,
                                                       const std::vector<std::string>& remove) {
  absl::MutexLock lock(&probes_mutex_);
  if (probes_closed_) {
    return absl::FailedPreconditionError(
        absl::StrCat(name_, " has ended; start another recording"));
  }
  if (program_->taken_over()) {
    return absl::FailedPreconditionError(
        absl::StrCat(name_,
                     " was begun by a tracer that was killed: its hooks stay as they are; "
                     "stop it and attach again"));
  }
  absl::StatusOr<std::vector<target::MappedModule>> modules = program_->Modules();
  if (!modules.ok()) return modules.status();
  absl::StatusOr<ProbeChange> change = probes_.PlanUpdate(*modules, add, remove);
  if (!change.ok()) return change.status();
  absl::StatusOr<target::HookChangeResult> made = Make(*change);
  if (!made.ok()) return made.status();
  environment_.logger->Info("probes_updated",
                            {{"recording", name_},
                             {"hooked", made->live},
                             {"stopped_us", absl::ToInt64Microseconds(made->stopped)}});
  {
    absl::MutexLock state(&mutex_);
    probes_.Remember(add, remove);
  }
  if (!watching_) modules_ = *std::move(modules);
  WatchLibraries();
  absl::MutexLock state(&mutex_);
  trace::v1::Completeness of_change;
  AddFailures(made->failures, probes_.functions(), of_change);
  ProbeUpdate update;
  update.functions_hooked = made->live;
  update.refusals = change->refusals;
  update.refusals.insert(update.refusals.end(), of_change.refusals().begin(),
                         of_change.refusals().end());
  return update;
}

void RecordingRun::OnThread(const drain::DrainedThread& thread) {
  ingest::v1::Item item;
  trace::v1::Thread* proto = item.mutable_thread();
  proto->set_name(ids::ThreadResourceName(id_, process_id_, thread.thread_id));
  proto->set_thread_id(thread.thread_id);
  proto->set_process_id(process_id_);
  proto->set_tid(static_cast<int32_t>(thread.tid));
  proto->set_ordinal(static_cast<uint32_t>(thread.ordinal - 1));
  proto->set_thread_name(ThreadName(program_->pid(), thread.tid));
  Send(std::move(item));
}

bool RecordingRun::OnChunk(drain::EncodedChunk chunk) {
  ingest::v1::Item item;
  *item.mutable_chunk()->mutable_data() = std::move(chunk.bytes);
  const uint64_t number = environment_.ingest->OfferNumbered(id_, std::move(item));
  if (number != 0) on_their_way_.emplace_back(number, chunk.calls);
  NoteDurable();
  return number != 0;
}

void RecordingRun::NoteDurable() {
  const uint64_t durable = environment_.ingest->Stats().durable_items;
  uint64_t& calls = program_->lane().header().calls_durable;
  for (; !on_their_way_.empty() && on_their_way_.front().first <= durable;
       on_their_way_.pop_front())
    calls += on_their_way_.front().second;
}

drain::DrainTotals RecordingRun::Totals() const {
  drain::DrainTotals totals = drain_->Totals();
  totals.Add(earlier_);
  return totals;
}

void RecordingRun::OnFinalChunk(drain::EncodedChunk chunk) {
  ingest::v1::Item item;
  *item.mutable_chunk()->mutable_data() = std::move(chunk.bytes);
  Send(std::move(item));
}

void RecordingRun::Send(ingest::v1::Item item) {
  const absl::Status sent = environment_.ingest->Send(id_, std::move(item));
  if (!sent.ok()) environment_.logger->Error("not_sent", {{"recording", name_}, {"error", sent}});
}

void RecordingRun::Run() {
  const absl::optional<target::Outcome> outcome = AwaitProgram();
  Finish(outcome);
}

absl::optional<target::Outcome> RecordingRun::AwaitProgram() {
  while (true) {
    absl::optional<target::Outcome> outcome = program_->WaitFor(kStopCheck);
    if (outcome.has_value()) return outcome;
    absl::MutexLock lock(&mutex_);
    if (stop_requested_) return absl::nullopt;
    // A program that has just ended cannot be sent anything, and need not.
    if (environment_.clock->Monotonic() >= kill_at_) program_->Signal(SIGKILL).IgnoreError();
  }
}

void RecordingRun::Finish(const absl::optional<target::Outcome>& outcome) {
  const absl::Time end = environment_.clock->Now();
  {
    // A change under way ends first.
    absl::MutexLock lock(&probes_mutex_);
    probes_closed_ = true;
  }
  program_->StopLibraryWatch();
  {
    absl::MutexLock lock(&mutex_);
    Advance(RecordingState::kDraining);
  }
  program_is_clean_ = outcome.has_value();
  if (!program_is_clean_) Detach();
  drain_->Finish();
  {
    absl::MutexLock lock(&mutex_);
    SetTimestamp(end, recording_.mutable_end_time());
    if (outcome.has_value()) DescribeOutcome(*outcome, end);
    // In the order of the stream it comes last, so that it is durable only when everything is.
    recording_.set_state(trace::v1::RECORDING_STATE_SEALED);
    UpdateCompleteness();
    if (manifest_ != nullptr) KeepEnd();
    SendProcess();
    SendRecording();
    // Seen from here it is not sealed before the backend has said so.
    recording_.set_state(trace::v1::RECORDING_STATE_DRAINING);
    LetGo();
  }
  absl::Status durable = environment_.ingest->Flush(environment_.flush_deadline);
  const uint64_t rejected = environment_.ingest->TakeRejected(id_);
  if (durable.ok() && rejected > 0) {
    durable = absl::DataLossError(
        absl::StrCat("the backend refused ", rejected,
                     " items of this recording for good; see the tracer's log"));
  }
  absl::MutexLock lock(&mutex_);
  if (manifest_ != nullptr && durable.ok()) manifest_->Remove();
  if (!durable.ok()) recording_.set_failure(std::string(durable.message()));
  Advance(durable.ok() ? RecordingState::kSealed : RecordingState::kFailed);
}

void RecordingRun::Detach() {
  const absl::StatusOr<target::Removal> removal = program_->Detach();
  program_is_clean_ = removal.ok() && removal->left.empty();
  if (program_is_clean_) {
    environment_.logger->Info("detached",
                              {{"recording", name_},
                               {"pid", program_->pid()},
                               {"stopped_us", absl::ToInt64Microseconds(removal->stopped)}});
    return;
  }
  const std::string why = removal.ok() ? removal->left : std::string(removal.status().message());
  environment_.logger->Error("not_detached",
                             {{"recording", name_}, {"pid", program_->pid()}, {"error", why}});
  absl::MutexLock lock(&mutex_);
  notes_.push_back(absl::StrCat(removal.ok() ? "memory of the tracer is still in process "
                                             : "hooks that record nothing are still in process ",
                                program_->pid(), ": ", why));
}

void RecordingRun::DescribeOutcome(const target::Outcome& outcome, absl::Time end) {
  trace::v1::Outcome* proto = process_.mutable_outcome();
  SetTimestamp(end, proto->mutable_end_time());
  if (outcome.replaced_by_exec) {
    proto->set_replaced_by_exec(true);
    if (outcome.unknown) return;
    proto->set_exit_status_after_exec(outcome.signaled ? kSignalBase + outcome.signal
                                                       : outcome.exit_code);
  } else if (outcome.signaled) {
    proto->set_signal(outcome.signal);
  } else if (!outcome.unknown) {
    proto->set_exit_code(outcome.exit_code);
  }
}

void RecordingRun::LetGo() {
  calls_ = Totals().calls;
  drain_.reset();
  reader_.reset();
  probes_ = ProbeSet();
  if (program_is_clean_) {
    program_.reset();
    return;
  }
  // What waits for the program stays until this process ends; its lane needs no name any more.
  unlink(program_->lane().path().c_str());
  program_->StopClock();
  program_.release();
}

void RecordingRun::Advance(RecordingState to) {
  const absl::Status advanced = life_.Advance(to);
  // The order of the calls in this file is the order of the states.
  if (!advanced.ok())
    environment_.logger->Error("illegal_state", {{"recording", name_}, {"error", advanced}});
  recording_.set_state(ToProto(life_.state()));
}

void RecordingRun::UpdateCompleteness() {
  trace::v1::Completeness completeness =
      DescribeCompleteness(Totals(), reader_->refusals(), program_->lane().layout().slot_count);
  completeness.set_functions_hooked(functions_hooked_);
  const std::vector<trace::v1::Refusal> refusals = probes_.refusals();
  *completeness.mutable_refusals() = {refusals.begin(), refusals.end()};
  for (const std::string& note : probes_.Notes()) completeness.add_notes(note);
  for (const std::string& note : notes_) completeness.add_notes(note);
  if (const uint32_t missed = program_->missed_library_changes(); missed > 0) {
    completeness.add_notes(absl::StrCat(
        missed, " times the program loaded libraries and did not wait until they were hooked"));
  }
  AddFailures(failures_, probes_.functions(), completeness);
  AddChildren(reader_->process_starts(), program_->uncounted_starts(), completeness);
  completeness.set_still_recording(recording_.state() != trace::v1::RECORDING_STATE_SEALED);
  *recording_.mutable_completeness() = completeness;
  *process_.mutable_completeness() = std::move(completeness);
}

void RecordingRun::SendRecording() {
  ingest::v1::Item item;
  *item.mutable_recording() = recording_;
  Send(std::move(item));
}

void RecordingRun::SendProcess() {
  ingest::v1::Item item;
  *item.mutable_process() = process_;
  Send(std::move(item));
}

CaptureState RecordingRun::State() {
  const ingest::IngestStats progress = environment_.ingest->Stats();
  absl::MutexLock lock(&mutex_);
  if (drain_ != nullptr) calls_ = Totals().calls;
  if (!life_.ended() && life_.state() != RecordingState::kDraining) UpdateCompleteness();
  return {recording_, {process_}, calls_, progress.spool_bytes, progress.durable_bytes};
}

void RecordingRun::AwaitEnd(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return life_.ended(); };
  environment_.clock->AwaitWithTimeout(mutex_, absl::Condition(&ended), timeout);
}

void RecordingRun::RequestStop(bool terminate_program) {
  absl::MutexLock lock(&mutex_);
  if (life_.ended() || program_ == nullptr) return;
  // A program that has just ended cannot be sent anything, and need not.
  terminate_program = terminate_program && launched_;
  if (terminate_program) {
    program_->Signal(SIGTERM).IgnoreError();
    kill_at_ = std::min(kill_at_, environment_.clock->Monotonic() + kTerminationGrace);
  }
  if (!terminate_program) stop_requested_ = true;
}

bool RecordingRun::Finished() {
  absl::MutexLock lock(&mutex_);
  return life_.ended();
}

}  // namespace flightrec::tracer
