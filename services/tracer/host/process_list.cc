#include "services/tracer/host/process_list.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "services/tracer/host/user_names.h"

namespace flightrec::host {
namespace {

// What Kubernetes sets in every container of a pod that does not use the host's network.
constexpr char kPodVariable[] = "HOSTNAME";

ProcessTexts TextsOf(const ProcessRow& row) {
  const HostProcess& process = row.process;
  return {absl::StrCat(process.pid),
          absl::StrCat(process.status.name, " ", process.ShortName()),
          absl::StrJoin(process.command, " "),
          row.user,
          absl::StrCat(row.names.name, " ", process.container.id),
          row.names.image,
          absl::StrCat(row.names.pod, " ", process.container.pod_uid),
          row.attach.status.ok()};
}

}  // namespace

ProcessList::ProcessList(ProcDirectory proc, std::string root)
    : proc_(std::move(proc)), root_(std::move(root)) {}

ProcessRow ProcessList::Describe(HostProcess process, const ProcessQuery& query,
                                 const AttachPowers& powers,
                                 const ContainerCatalog& catalog) const {
  ProcessRow row;
  if (!process.container.id.empty()) row.names = catalog.Find(process.container);
  if (row.names.pod.empty() && !process.container.pod_uid.empty() &&
      process.container.runtime != "podman") {
    row.names.pod = ReadEnvironmentVariable(proc_, process.pid, kPodVariable);
  }
  const auto recording = query.recordings.find(process.pid);
  if (recording != query.recordings.end()) row.recording = recording->second;
  AttachFacts facts = ReadAttachFacts(proc_, std::move(process), powers, row.recording);
  row.attach = JudgeAttach(facts);
  row.process = std::move(facts.process);
  return row;
}

void ProcessList::Count(std::vector<ProcessRow>& rows, absl::Duration time) {
  const absl::Time deadline = absl::Now() + time;
  std::vector<std::string> builds;
  for (const ProcessRow& row : rows) {
    std::string& build = builds.emplace_back();
    const absl::optional<ElfKind>& elf = row.process.elf;
    // Nothing of another machine's program or of Go's can be hooked.
    if (!elf.has_value() || !elf->is_64_bit || elf->is_go) continue;
    const std::string path = proc_.PathOf(row.process.pid, "exe");
    build = BuildOf(*elf, path);
    counter_.Request(build, path);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!builds[i].empty()) rows[i].share = counter_.Await(builds[i], deadline);
  }
}

absl::StatusOr<ProcessPage> ProcessList::List(const ProcessQuery& query) {
  const absl::StatusOr<std::vector<pid_t>> pids = proc_.ListProcesses();
  if (!pids.ok()) return pids.status();
  const AttachPowers powers = ReadAttachPowers(proc_);
  const ContainerCatalog catalog(root_);
  const UserNames users(absl::StrCat(root_, "/etc/passwd"));
  ProcessPage page;
  for (const pid_t pid : *pids) {
    if (pid <= query.after) continue;
    absl::StatusOr<HostProcess> process = ReadHostProcess(proc_, pid);
    // It ended meanwhile, or is hidden.
    if (!process.ok() || process->stat.kernel_thread) continue;
    ProcessRow row = Describe(*std::move(process), query, powers, catalog);
    row.user = users.Find(row.process.status.effective_uid);
    if (!query.filter.Matches(TextsOf(row))) continue;
    if (page.rows.size() == query.limit) {
      page.more = true;
      break;
    }
    page.rows.push_back(std::move(row));
  }
  if (query.counting.has_value()) Count(page.rows, *query.counting);
  return page;
}

}  // namespace flightrec::host
