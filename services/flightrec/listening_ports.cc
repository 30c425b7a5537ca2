#include "services/flightrec/listening_ports.h"

#include <dirent.h>
#include <sys/types.h>

#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/tracer/host/host_process.h"
#include "services/tracer/host/proc_directory.h"

namespace flightrec::cli {
namespace {

// Of a line: "sl local_address rem_address st queues timer retransmit uid timeout inode".
constexpr size_t kLocalField = 1;
constexpr size_t kStateField = 3;
constexpr size_t kInodeField = 9;
constexpr absl::string_view kListens = "0A";

bool HasSocket(const host::ProcDirectory& proc, pid_t pid, uint64_t inode) {
  DIR* folder = opendir(proc.PathOf(pid, "fd").c_str());
  if (folder == nullptr) return false;
  absl::Cleanup close_folder = [folder] { closedir(folder); };
  const std::string wanted = absl::StrCat("socket:[", inode, "]");
  while (const dirent* entry = readdir(folder)) {
    const auto link = proc.ReadLink(pid, absl::StrCat("fd/", entry->d_name));
    if (link.ok() && *link == wanted) return true;
  }
  return false;
}

PortHolder FindHolderOf(uint64_t inode) {
  const host::ProcDirectory proc;
  const absl::StatusOr<std::vector<pid_t>> pids = proc.ListProcesses();
  if (pids.ok()) {
    for (const pid_t pid : *pids) {
      if (!HasSocket(proc, pid, inode)) continue;
      const absl::StatusOr<host::HostProcess> process = host::ReadHostProcess(proc, pid);
      if (!process.ok()) break;
      return {process->Label(), process->elf.has_value() && process->elf->is_flightrec_service};
    }
  }
  return {"another user's process", false};
}

}  // namespace

std::map<int, uint64_t> ParseListeningSockets(absl::string_view text) {
  std::map<int, uint64_t> sockets;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (fields.size() <= kInodeField || fields[kStateField] != kListens) continue;
    const absl::string_view local = fields[kLocalField];
    int port = 0;
    uint64_t inode = 0;
    if (absl::SimpleHexAtoi(local.substr(local.rfind(':') + 1), &port) &&
        absl::SimpleAtoi(fields[kInodeField], &inode)) {
      sockets[port] = inode;
    }
  }
  return sockets;
}

PortHolder FindPortHolder(int port) {
  for (const char* file : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    const std::map<int, uint64_t> sockets =
        ParseListeningSockets(host::ReadTextFile(file).value_or(""));
    const auto found = sockets.find(port);
    if (found != sockets.end()) return FindHolderOf(found->second);
  }
  return {};
}

}  // namespace flightrec::cli
