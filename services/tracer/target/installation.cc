#include "services/tracer/target/installation.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/tracer/agent/agent_image.h"
#include "services/tracer/inject/memory_map.h"
#include "services/tracer/target/call_site.h"
#include "services/tracer/target/live_patch.h"
#include "services/tracer/target/load_bias.h"
#include "services/tracer/target/loader_events.h"
#include "services/tracer/target/process_starts.h"
#include "services/tracer/target/seccomp_check.h"
#include "services/tracer/target/text_change.h"
#include "services/tracer/target/text_protection.h"

namespace flightrec::target {
namespace {

// Threads that register without a page fault.
constexpr uint32_t kPreparedSlots = 64;
constexpr unsigned long kHasFsgsbase = 1u << 1;  // in AT_HWCAP2
// Between two looks whether threads have left the hooks.
constexpr absl::Duration kFirstPause = absl::Milliseconds(1);
constexpr absl::Duration kLongestPause = absl::Milliseconds(20);
constexpr int kNiceness = -10;

absl::StatusOr<lane::ProcessIdentity> Identify(pid_t pid) {
  absl::StatusOr<std::string> boot_id = ReadBootId();
  if (!boot_id.ok()) return boot_id.status();
  const absl::StatusOr<uint64_t> start = ReadStartTicks(absl::StrCat("/proc/", pid, "/stat"));
  if (!start.ok()) return start.status();
  return lane::ProcessIdentity{static_cast<uint32_t>(pid), *start, *std::move(boot_id)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Installation>> Installation::Create(pid_t pid, std::string program,
                                                                   ThreadControl::Relation relation,
                                                                   InstallOptions options) {
  if ((getauxval(AT_HWCAP2) & kHasFsgsbase) == 0) {
    return absl::FailedPreconditionError(
        "this kernel does not let programs use the gs base (FSGSBASE); Linux "
        "5.9 or newer is needed");
  }
  std::unique_ptr<Installation> installation(
      new Installation(pid, std::move(program), relation, std::move(options)));
  absl::StatusOr<lane::ProcessIdentity> identity = Identify(pid);
  if (!identity.ok()) return identity.status();
  installation->identity_ = *std::move(identity);
  installation->stack_ = ReadStackStart(pid);
  auto process = inject::RemoteProcess::Adopt(pid);
  if (!process.ok()) return process.status();
  installation->process_ = *std::move(process);
  installation->process_->SetLiveCalls(
      [raw = installation.get()](const char* what, int64_t number,
                                 const std::vector<uint64_t>& arguments) {
        return raw->CallInside(what, number, arguments);
      });
  return installation;
}

absl::StatusOr<absl::optional<int>> Installation::RunToEntry() {
  const absl::StatusOr<EntryPoints> entries = ReadEntryPoints(pid());
  if (!entries.ok()) return entries.status();
  absl::StatusOr<absl::optional<int>> ended = process_->RunTo(entries->program);
  if (ended.ok() && ended->has_value()) {
    const absl::Status created = CreateLane(/*functions=*/0);
    if (!created.ok()) return created;
  }
  return ended;
}

std::string Installation::PathWith(const char* suffix) const {
  return absl::StrCat(options_.lane_directory, "/", identity_.pid, "-", identity_.start_ticks,
                      suffix);
}

absl::Status Installation::CreateLane(size_t functions) {
  uint64_t features = 0;
  if (options_.coarse_clock != nullptr) features |= lane::kCoarseClock;
  if (options_.filter.leaves_out()) features |= lane::kFilters;
  absl::StatusOr<std::unique_ptr<lane::LaneFile>> lane =
      lane::LaneFile::Create(PathWith(kLaneSuffix), options_.limits,
                             static_cast<uint32_t>(functions), identity_, features);
  if (!lane.ok()) return lane.status();
  lane_ = *std::move(lane);
  if (functions > 0) lane_->Prepare(kPreparedSlots);
  if (options_.coarse_clock != nullptr) {
    clock_line_.emplace(*options_.coarse_clock, lane_->header().clock_ticks);
  }
  return absl::OkStatus();
}

absl::Status Installation::StartJournal() {
  auto journal = HookJournal::Create(PathWith(kJournalSuffix), identity_, ReadStackStart(pid()));
  if (!journal.ok()) return journal.status();
  journal_ = *std::move(journal);
  return absl::OkStatus();
}

absl::Status Installation::InstallAtEntry(std::shared_ptr<const symbols::Module> module) {
  const absl::StatusOr<std::vector<pid_t>> threads = ListThreads(pid());
  if (!threads.ok()) return threads.status();
  if (threads->size() != 1) {
    return absl::FailedPreconditionError(
        absl::StrCat(program_,
                     " has more than one thread before its entry point; "
                     "a library starts threads when it is loaded"));
  }
  const absl::StatusOr<uint64_t> gs_base = process_->GsBase();
  if (!gs_base.ok()) return gs_base.status();
  if (*gs_base != 0) {
    return absl::FailedPreconditionError(absl::StrCat(program_, " uses the gs base itself"));
  }
  absl::Status status = Prepare(std::move(module));
  if (status.ok()) status = process_->SetGsBase(memory_->unregistered_block());
  if (status.ok()) status = journal_->AddText(installer_->Describe(installer_->TakePrepared()));
  if (status.ok()) status = installer_->Patch();
  if (!status.ok()) return status;
  failures_ = installer_->TakeFailures();
  return process_->Detach();
}

absl::Status Installation::InstallWhileRunning() {
  process_->SetRunning();
  absl::Status status = FindSystemCall();
  if (status.ok() && HasOwnFilters(pid())) status = AllowedByFilters();
  if (!status.ok()) return status;
  const absl::StatusOr<std::vector<MappedModule>> mapped = Modules();
  if (!mapped.ok()) return mapped.status();
  absl::StatusOr<symbols::Module> module = ReadMappedModule(mapped->front());
  if (!module.ok()) return module.status();
  status = Prepare(std::make_shared<const symbols::Module>(*std::move(module)));
  HookChangeResult result;
  if (status.ok()) status = ApplyAll(result);
  stopped_ = result.stopped;
  failures_ = installer_ == nullptr ? failures_ : installer_->TakeFailures();
  if (status.ok() || memory_ == nullptr) return status;
  // Its error is the first one's: what is not there cannot be taken away.
  if (entered_) {
    Remove().status().IgnoreError();
  } else if (memory_->Unmap().ok()) {
    EndJournal();
  }
  return status;
}

absl::Status Installation::Prepare(std::shared_ptr<const symbols::Module> module) {
  const absl::StatusOr<EntryPoints> entries = ReadEntryPoints(pid());
  if (!entries.ok()) return entries.status();
  const absl::StatusOr<std::vector<MappedModule>> mapped = Modules();
  if (!mapped.ok()) return mapped.status();
  absl::StatusOr<std::vector<ModuleHooks>> plan = options_.plan(*mapped, module);
  options_.plan = nullptr;
  if (!plan.ok()) return plan.status();
  const absl::Status changeable = CheckCode(*plan);
  if (!changeable.ok()) return changeable;
  // From here on threads of the program wait for this one. 0 is this thread. Not permitted to
  // everyone: then it stays an ordinary one.
  static_cast<void>(setpriority(PRIO_PROCESS, 0, kNiceness));
  uint32_t functions = 0;
  for (ModuleHooks& hooks : *plan) {
    for (Hook& hook : hooks.hooks) hook.function_index = functions++;
  }
  absl::Status status = CreateLane(functions);
  if (!status.ok()) return status;
  status = StartJournal();
  if (!status.ok()) return status;
  memory_ = std::make_unique<ProcessMemory>(*process_, *journal_, lane_.get(), options_.filter,
                                            foreign() ? LaneAccess::kPassed : LaneAccess::kByPath);
  installer_ = std::make_unique<HookInstaller>(*process_, *memory_);
  status = memory_->Prepare();
  if (status.ok()) {
    status = journal_->SetAgent(agent::kAgentVersion, memory_->image().address,
                                memory_->agent_state(), memory_->stub_return());
  }
  // First: more changes than fit one stop are made one part after the other, and no exception may
  // cross a hooked frame before unwinders know of it.
  if (status.ok()) {
    status = installer_->AddUnwinder(*module, LoadBias(*module, mapped->front().base));
  }
  FindOwnUnwinder(*module, mapped->front().base);
  unwinders_ = std::make_unique<Unwinders>(entries->loader);
  if (status.ok()) status = unwinders_->Answer(*mapped, *installer_);
  may_load_unwinder_ = unwinders_->may_come_later();
  for (const ModuleHooks& hooks : *plan) {
    if (!status.ok()) return status;
    status = installer_->AddModule(*hooks.module, LoadBias(*hooks.module, hooks.base), hooks.hooks);
  }
  if (status.ok()) status = AddNotices(*module, *plan, *mapped);
  if (status.ok()) InstallLoaderEvents(*entries);
  return status.ok() ? memory_->Activate() : status;
}

absl::Status Installation::CheckCode(const std::vector<ModuleHooks>& plan) const {
  const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(pid());
  if (!map.ok()) return map.status();
  std::vector<uint64_t> addresses;
  for (const ModuleHooks& hooks : plan) {
    const uint64_t bias = LoadBias(*hooks.module, hooks.base);
    for (const Hook& hook : hooks.hooks) addresses.push_back(hook.site.address + bias);
  }
  return CheckChangeable(pid(), *map, std::move(addresses));
}

void Installation::FindOwnUnwinder(const symbols::Module& program, uint64_t base) {
  for (const symbols::Function& function : program.functions) {
    if (absl::StartsWith(function.symbol, "_Unwind_") || function.kind == symbols::Kind::kUnwinder)
      own_unwinder_.push_back({function.offset + LoadBias(program, base), function.size});
  }
}

// In the C library, or in the program itself if it has no other.
absl::Status Installation::AddNotices(const symbols::Module& program,
                                      const std::vector<ModuleHooks>& plan,
                                      const std::vector<MappedModule>& mapped) {
  const bool is_static = program.interpreter.empty();
  for (const MappedModule& one : mapped) {
    if (!(is_static ? one.is_main_executable : IsCLibrary(one.path))) continue;
    const auto planned = std::find_if(plan.begin(), plan.end(), [&one](const ModuleHooks& hooks) {
      return hooks.base == one.base;
    });
    const symbols::Module* module = is_static               ? &program
                                    : planned != plan.end() ? planned->module.get()
                                                            : nullptr;
    absl::StatusOr<symbols::Module> read = absl::UnknownError("not read");
    if (module == nullptr) {
      read = ReadMappedModule(one);
      if (!read.ok()) return read.status();
      module = &*read;
    }
    const absl::Status added =
        installer_->AddNotices(*module, LoadBias(*module, one.base), &uncounted_starts_);
    if (!added.ok()) return added;
  }
  return absl::OkStatus();
}

// Not being told of libraries is no reason not to record.
void Installation::InstallLoaderEvents(const EntryPoints& entries) {
  loader_events_ = absl::FailedPreconditionError(
      absl::StrCat(program_, " has no loader that tells when it loads libraries; is it static?"));
  const absl::optional<LoaderEvents> events = FindLoaderEvents(*process_, entries);
  const absl::StatusOr<std::vector<MappedModule>> modules = Modules();
  if (!events.has_value() || !modules.ok()) return;
  for (const MappedModule& mapped : *modules) {
    if (events->function < mapped.base || events->function >= mapped.end) continue;
    const absl::StatusOr<symbols::Module> loader = ReadMappedModule(mapped);
    loader_events_ = loader.status();
    if (!loader.ok()) return;
    loader_events_ =
        installer_->AddLoaderEvents(*loader, LoadBias(*loader, mapped.base), events->function);
  }
  if (!loader_events_.ok()) return;
  memory_->SetLoaderState(events->state);
  // Nobody calls there yet.
  lane_->header().library_watch = options_.watch_libraries || may_load_unwinder_ ? 1 : 0;
}

absl::StatusOr<std::vector<MappedModule>> Installation::Modules() const {
  return ListMappedModules(pid(), program_, foreign() ? Files::kOfProcess : Files::kOwn);
}

absl::Status Installation::FindSystemCall() {
  const absl::StatusOr<CallSite> site = FindCallSite(*process_, program_);
  if (!site.ok()) return site.status();
  system_call_ = *site;
  return absl::OkStatus();
}

CallSite Installation::SystemCallSite() const {
  CallSite site = system_call_;
  if (site.instruction == 0) {
    site.instruction = memory_->AgentFunction(agent::GetImageHeader().system_call);
    site.restorer = site.instruction + agent::kReturnFromCall;
  }
  if (memory_ != nullptr) site.frames_end = memory_->frames_end();
  return site;
}

absl::Status Installation::AllowedByFilters() {
  absl::Status status = threads_->StopAll();
  if (!status.ok()) return status;
  status = CheckThreadFilters(*threads_, system_call_.instruction);
  threads_->Resume();
  return status;
}

absl::StatusOr<uint64_t> Installation::CallInside(const char* what, int64_t number,
                                                  const std::vector<uint64_t>& arguments) {
  absl::Status status = threads_->StopOne();
  if (!status.ok()) return status;
  status = CheckProgram();
  const CallSite site = SystemCallSite();
  // A filter that the program has set since may kill it for a call it does not expect.
  const std::vector<pid_t> stopped = threads_->stopped();
  if (status.ok() && !stopped.empty())
    status = CheckThread(pid(), stopped.front(), site.instruction);
  absl::StatusOr<uint64_t> result = status.ok()
                                        ? threads_->SystemCall(what, number, arguments, site)
                                        : absl::StatusOr<uint64_t>(status);
  threads_->Resume();
  return result;
}

// The memory that was opened at first ends with the program it belongs to.
absl::Status Installation::CheckProgram() const {
  uint8_t byte;
  // Libraries go; where the first stack began is memory of this program alone, to its end.
  const uint64_t place = stack_ != 0 ? stack_ : SystemCallSite().instruction;
  if (process_->Read(place, absl::MakeSpan(&byte, 1)).ok()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("process ", pid(),
                                                    " runs another program now than ", program_,
                                                    "; its hooks ended with that one"));
}

// Threads that start later have their creator's gs base.
absl::Status Installation::EnterBlocks() {
  // All threads stand still: it cannot become another program any more.
  const absl::Status same = CheckProgram();
  if (!same.ok()) return same;
  std::vector<std::pair<pid_t, user_regs_struct>> outside;
  for (const pid_t tid : threads_->stopped()) {
    const absl::StatusOr<user_regs_struct> registers = threads_->Registers(tid);
    // Killed meanwhile: it runs nothing any more.
    if (!registers.ok()) continue;
    if (registers->gs_base == 0) {
      outside.emplace_back(tid, *registers);
    } else if (!entered_) {
      return absl::FailedPreconditionError(absl::StrCat(
          "thread ", tid, " of process ", pid(), " uses the gs base itself (0x",
          absl::Hex(registers->gs_base), "), or a tracer that was killed has left its hooks"));
    }
  }
  entered_ = true;
  for (auto& [tid, registers] : outside) {
    registers.gs_base = memory_->unregistered_block();
    threads_->SetRegisters(tid, registers).IgnoreError();
  }
  return absl::OkStatus();
}

absl::Status Installation::Apply(HookChangeResult& result,
                                 const std::function<absl::Status()>& prepare) {
  const std::vector<TextChange>& all = installer_->TakePrepared();
  std::vector<size_t> unwritten;
  absl::Status status = journal_->AddText(installer_->Describe(all));
  size_t begin = 0;
  for (; begin < all.size() && status.ok(); begin += kMaxChangesPerStop) {
    const size_t count = std::min(kMaxChangesPerStop, all.size() - begin);
    const absl::StatusOr<PatchReport> patched = PatchWhileRunning(
        *threads_, *process_, absl::MakeConstSpan(all).subspan(begin, count), prepare);
    status = patched.status();
    if (!status.ok()) break;
    for (const size_t index : patched->unwritten) unwritten.push_back(begin + index);
    result.stopped = std::max(result.stopped, patched->stopped);
  }
  const size_t tried = std::min(begin, all.size());
  for (; begin < all.size(); ++begin) unwritten.push_back(begin);
  result.unanswered = installer_->Commit(unwritten, tried);
  return status;
}

absl::Status Installation::ApplyAll(HookChangeResult& result) {
  const absl::Status status =
      foreign() ? Apply(result, [this] { return EnterBlocks(); }) : Apply(result, nullptr);
  if (!status.ok() || result.unanswered == 0) return status;
  return absl::FailedPreconditionError(absl::StrCat(
      result.unanswered,
      " functions of an unwinder or of the C library are not what their file has, or a "
      "thread stands in them; signal handlers that unwind while a hook begins or ends "
      "may fail"));
}

absl::Status Installation::FollowUnwinders() {
  const absl::StatusOr<std::vector<MappedModule>> mapped = Modules();
  if (!mapped.ok()) return mapped.status();
  absl::Status status = unwinders_->Answer(*mapped, *installer_);
  HookChangeResult result;
  const absl::Status applied = installer_->has_prepared() ? ApplyAll(result) : absl::OkStatus();
  return status.ok() ? applied : status;
}

absl::StatusOr<HookChangeResult> Installation::Change(const HookChange& change) {
  HookChangeResult result;
  if (taken_over_) return loader_events_;
  uint32_t functions = 0;
  for (const ModuleHooks& hooks : change.add) {
    for (const Hook& hook : hooks.hooks) functions = std::max(functions, hook.function_index + 1);
  }
  absl::Status status = CheckProgram();
  if (!status.ok()) return status;
  status = lane_->UseFunctions(functions);
  for (const ModuleHooks& hooks : change.add) {
    if (status.ok()) {
      status =
          installer_->AddModule(*hooks.module, LoadBias(*hooks.module, hooks.base), hooks.hooks);
    }
  }
  installer_->Remove({change.remove.begin(), change.remove.end()});
  // Also what could be prepared before an error.
  const absl::Status applied = ApplyAll(result);
  if (status.ok()) status = applied;
  result.failures = installer_->TakeFailures();
  result.live = installer_->live();
  if (!status.ok()) return status;
  return result;
}

size_t Installation::ForgetCode(uint64_t low, uint64_t high) {
  installer_->Forget(low, high);
  return installer_->live();
}

absl::StatusOr<std::string> Installation::Release(OpenCalls open_calls, Removal& removal) {
  if (!memory_->reachable()) return std::string();
  const absl::Status stopped = threads_->StopAll();
  // A thread in vfork: later.
  if (stopped.code() == absl::StatusCode::kDeadlineExceeded) return std::string(stopped.message());
  if (!stopped.ok()) return stopped;
  std::vector<RegionSpace> unwinders = own_unwinder_;
  unwinders.insert(unwinders.end(), unwinders_->code().begin(), unwinders_->code().end());
  absl::StatusOr<std::string> why =
      ReleaseFrames(*threads_, *process_, *memory_, unwinders, open_calls);
  const absl::Status restored = why.ok() && why->empty() ? RestoreLookups() : absl::OkStatus();
  threads_->Resume();
  if (!restored.ok()) why = restored;
  removal.stopped = std::max(removal.stopped, absl::Now() - threads_->stopping_since());
  return why;
}

void Installation::EndJournal() {
  if (journal_ != nullptr) {
    journal_->Remove();
  } else if (taken_over_) {
    unlink(PathWith(kJournalSuffix).c_str());
  }
}

absl::Status Installation::RestoreLookups() {
  std::vector<TextChange> lookups = installer_->Lookups();
  std::vector<size_t> unexpected = FindUnexpected(*process_, lookups);
  // Code that was unmapped, or that somebody else has changed since.
  for (; !unexpected.empty(); unexpected.pop_back())
    lookups.erase(lookups.begin() + static_cast<std::ptrdiff_t>(unexpected.back()));
  return WriteText(*process_, lookups);
}

absl::StatusOr<Removal> Installation::Remove() {
  absl::StatusOr<Removal> removal = TakeOut();
  // It has ended or is another program by now: that has nothing of ours.
  const bool left = !removal.ok() || !removal->left.empty();
  if (left && !CheckProgram().ok()) {
    EndJournal();
    return Removal();
  }
  return removal;
}

absl::StatusOr<Removal> Installation::TakeOut() {
  Removal removal;
  if (memory_ == nullptr) {
    EndJournal();
    return removal;
  }
  if (absl::Status same = CheckProgram(); !same.ok()) return same;
  absl::Status status = system_call_.instruction != 0 ? absl::OkStatus() : FindSystemCall();
  if (!status.ok()) return status;
  installer_->RemoveHooks();
  HookChangeResult result;
  status = Apply(result, nullptr);
  if (!status.ok()) return status;
  removal.stopped = result.stopped;
  const absl::Time begin = absl::Now();
  absl::Duration pause = kFirstPause;
  while (true) {
    const absl::Duration passed = absl::Now() - begin;
    absl::StatusOr<std::string> why =
        Release(passed < kNaturalEnd ? OpenCalls::kAwait : OpenCalls::kRedirect, removal);
    if (!why.ok()) return why.status();
    if (why->empty()) break;
    if (passed > kRemovalTimeout) {
      removal.left = *std::move(why);
      return removal;
    }
    absl::SleepFor(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
  status = memory_->Unmap();
  if (!status.ok()) {
    removal.left = std::string(status.message());
    return removal;
  }
  EndJournal();
  installer_ = nullptr;
  memory_ = nullptr;
  return removal;
}

}  // namespace flightrec::target
