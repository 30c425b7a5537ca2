// The part of Installation that begins with what a tracer that was killed has left.

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/target/descriptor_passing.h"
#include "services/tracer/target/installation.h"
#include "services/tracer/target/load_bias.h"
#include "services/tracer/target/seccomp_check.h"

namespace flightrec::target {

absl::StatusOr<std::unique_ptr<Installation>> Installation::TakeOver(const JournalContent& journal,
                                                                     InstallOptions options) {
  const auto pid = static_cast<pid_t>(journal.process.pid);
  absl::StatusOr<std::string> program = ReadMainPath(pid);
  if (!program.ok()) return program.status();
  auto installation =
      Create(pid, *std::move(program), ThreadControl::Relation::kForeign, std::move(options));
  if (!installation.ok()) return installation.status();
  const absl::Status adopted = (*installation)->Adopt(journal);
  if (!adopted.ok()) return adopted;
  return installation;
}

absl::StatusOr<std::unique_ptr<Installation>> Installation::OfEnded(lane::ProcessIdentity identity,
                                                                    InstallOptions options) {
  std::unique_ptr<Installation> installation(
      new Installation(static_cast<pid_t>(identity.pid), /*program=*/"",
                       ThreadControl::Relation::kForeign, std::move(options)));
  installation->identity_ = std::move(identity);
  installation->taken_over_ = true;
  auto lane = lane::LaneFile::Open(installation->PathWith(kLaneSuffix));
  if (!lane.ok()) return lane.status();
  installation->lane_ = *std::move(lane);
  return installation;
}

absl::Status Installation::Adopt(const JournalContent& journal) {
  process_->SetRunning();
  taken_over_ = true;
  loader_events_ = absl::FailedPreconditionError(
      "the hooks are those of a tracer that was killed; stop the recording and attach again");
  auto opened = HookJournal::Continue(PathWith(kJournalSuffix));
  if (!opened.ok()) return opened.status();
  journal_ = *std::move(opened);
  auto lane = lane::LaneFile::Open(PathWith(kLaneSuffix));
  if (lane.ok()) {
    lane_ = *std::move(lane);
    EndLibraryWatch();
    if (lane_->Has(lane::kCoarseClock) && options_.coarse_clock != nullptr)
      clock_line_.emplace(*options_.coarse_clock, lane_->header().clock_ticks);
  } else if (access(PathWith(kLaneSuffix).c_str(), F_OK) == 0) {
    return lane.status();
  }
  // Another program by now: nothing of the tracer came with it.
  const uint64_t stack = ReadStackStart(pid());
  if (journal.stack != 0 && stack == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("it cannot be told which program process ", pid(),
                     " runs: its first thread has ended, or it is another user's"));
  }
  if (journal.stack != 0 && stack != journal.stack) return absl::OkStatus();
  return AdoptMemory(journal);
}

void Installation::EndLibraryWatch() {
  __atomic_store_n(&lane_->header().library_watch, 0, __ATOMIC_RELEASE);
  syscall(SYS_futex, &lane_->header().library_answer, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

absl::Status Installation::AdoptMemory(const JournalContent& journal) {
  memory_ = std::make_unique<ProcessMemory>(*process_, *journal_, lane_.get(), options_.filter,
                                            LaneAccess::kPassed);
  installer_ = std::make_unique<HookInstaller>(*process_, *memory_);
  installer_->Adopt(journal.text);
  absl::Status status = FindSystemCall();
  if (!status.ok()) return status;
  // Not allowed: then the code can be restored, and memory stays.
  if (HasOwnFilters(pid())) AllowedByFilters().IgnoreError();
  if (journal.agent_version > agent::kAgentVersion) {
    HookChangeResult result;
    installer_->RemoveHooks();
    status = Apply(result, nullptr);
    if (!status.ok()) return status;
    return absl::UnimplementedError(absl::StrCat(
        "process ", pid(), " has an agent of version ", journal.agent_version,
        ", this tracer knows up to ", agent::kAgentVersion,
        "; its hooks are out, its memory and what unwinders ask there stay until a newer tracer "
        "cleans it or it ends"));
  }
  status = memory_->Adopt(journal);
  if (!status.ok()) return status;
  options_.filter.thread_names = memory_->thread_names();
  const absl::StatusOr<std::vector<MappedModule>> mapped = Modules();
  if (!mapped.ok()) return mapped.status();
  unwinders_ = std::make_unique<Unwinders>(/*loader=*/0);
  unwinders_->Adopt(*mapped);
  const absl::StatusOr<symbols::Module> module = ReadMappedModule(mapped->front());
  if (module.ok()) FindOwnUnwinder(*module, mapped->front().base);
  // They are open only before there is an agent. One that is left hurts nobody.
  if (journal.agent_version == 0) {
    CloseLeftDescriptors(*process_, journal.frames ? journal.lanes : 0,
                         absl::StrCat("/", identity_.pid, "-", identity_.start_ticks, kLaneSuffix))
        .IgnoreError();
  }
  return absl::OkStatus();
}

}  // namespace flightrec::target
