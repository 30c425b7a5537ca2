#include "services/tracer/host/host_process.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace flightrec::host {
namespace {

constexpr absl::string_view kDeleted = " (deleted)";
constexpr size_t kMaxEnvironmentBytes = size_t{1} << 20;

std::string LastPart(absl::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string LinkOrNothing(const ProcDirectory& proc, pid_t pid, absl::string_view name) {
  return proc.ReadLink(pid, name).value_or("");
}

std::vector<std::string> ReadCommand(const ProcDirectory& proc, pid_t pid) {
  std::string text = proc.Read(pid, "cmdline", kMaxCommandBytes).value_or("");
  // A program that overwrote its command line has fewer ends, or blanks behind it.
  while (!text.empty() && text.back() == '\0') text.pop_back();
  if (text.empty()) return {};
  return absl::StrSplit(text, '\0');
}

void ReadExecutable(const ProcDirectory& proc, HostProcess& process) {
  absl::StatusOr<std::string> path = proc.ReadLink(process.pid, "exe");
  if (!path.ok()) return;
  absl::string_view shown = *path;
  process.executable_deleted = absl::ConsumeSuffix(&shown, kDeleted);
  process.executable = std::string(shown);
  // The link leads to the file itself, whatever its path means here.
  absl::StatusOr<ElfKind> kind = ReadElfKind(proc.PathOf(process.pid, "exe"));
  if (kind.ok()) process.elf = *std::move(kind);
}

}  // namespace

std::string HostProcess::ShortName() const {
  return executable.empty() ? status.name : LastPart(executable);
}

std::string HostProcess::Label() const { return absl::StrCat(pid, " (", status.name, ")"); }

absl::StatusOr<HostProcess> ReadHostProcess(const ProcDirectory& proc, pid_t pid) {
  HostProcess process;
  process.pid = pid;
  const absl::StatusOr<std::string> status = proc.Read(pid, "status");
  if (!status.ok()) return status.status();
  const absl::StatusOr<std::string> stat = proc.Read(pid, "stat");
  if (!stat.ok()) return stat.status();
  absl::StatusOr<ProcStatus> parsed_status = ParseProcStatus(*status);
  if (!parsed_status.ok()) return parsed_status.status();
  const absl::StatusOr<ProcStat> parsed_stat = ParseProcStat(*stat);
  if (!parsed_stat.ok()) return parsed_stat.status();
  process.status = *std::move(parsed_status);
  process.stat = *parsed_stat;
  if (process.stat.kernel_thread) return process;
  process.command = ReadCommand(proc, pid);
  ReadExecutable(proc, process);
  process.container = ParseCgroup(proc.Read(pid, "cgroup").value_or(""));
  process.namespaces = {LinkOrNothing(proc, pid, "ns/mnt"), LinkOrNothing(proc, pid, "ns/pid"),
                        LinkOrNothing(proc, pid, "ns/net"), LinkOrNothing(proc, pid, "ns/user")};
  return process;
}

absl::StatusOr<std::vector<HostProcess>> ListHostProcesses(const ProcDirectory& proc) {
  const absl::StatusOr<std::vector<pid_t>> pids = proc.ListProcesses();
  if (!pids.ok()) return pids.status();
  std::vector<HostProcess> processes;
  for (const pid_t pid : *pids) {
    absl::StatusOr<HostProcess> process = ReadHostProcess(proc, pid);
    // It ended meanwhile, or belongs to somebody who hides it (hidepid).
    if (process.ok()) processes.push_back(*std::move(process));
  }
  return processes;
}

std::string ReadEnvironmentVariable(const ProcDirectory& proc, pid_t pid, absl::string_view name) {
  const std::string text = proc.Read(pid, "environ", kMaxEnvironmentBytes).value_or("");
  for (absl::string_view variable : absl::StrSplit(text, '\0')) {
    if (absl::ConsumePrefix(&variable, name) && absl::ConsumePrefix(&variable, "=")) {
      return std::string(variable);
    }
  }
  return "";
}

}  // namespace flightrec::host
