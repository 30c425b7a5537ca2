#include "services/flightrec/doctor_facts.h"

#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/endpoint_file.h"
#include "services/flightrec/listening_ports.h"
#include "services/tracer/host/attachable.h"
#include "services/tracer/host/proc_directory.h"
#include "services/tracer/host/proc_status.h"
#include "services/tracer/stub/call_cost.h"
#include "services/tracer/tracer_config.h"

namespace flightrec::cli {
namespace {

constexpr unsigned long kHasFsgsbase = 1u << 1;  // in AT_HWCAP2
// What a slot of a lane file takes besides its lane when a few calls are nested.
constexpr uint64_t kSlotBytes = uint64_t{256} << 10;

// A child that waits is traced and let go of.
absl::Status TraceChild() {
  const pid_t child = fork();
  if (child < 0) return absl::ErrnoToStatus(errno, "fork");
  if (child == 0) {
    pause();
    _exit(0);
  }
  const bool traced = ptrace(PTRACE_SEIZE, child, nullptr, nullptr) == 0;
  const int error = errno;
  kill(child, SIGKILL);
  while (waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  return traced ? absl::OkStatus() : absl::ErrnoToStatus(error, "PTRACE_SEIZE");
}

DirectoryFacts ReadDirectory(const std::string& path) {
  DirectoryFacts facts;
  facts.path = path;
  const std::string existing = ExistingPart(path);
  struct statfs info;
  if (statfs(existing.c_str(), &info) != 0) {
    facts.usable = absl::ErrnoToStatus(errno, existing);
    return facts;
  }
  facts.on_tmpfs = info.f_type == TMPFS_MAGIC;
  facts.noexec = (info.f_flags & ST_NOEXEC) != 0;
  facts.free_bytes = uint64_t{info.f_bavail} * static_cast<uint64_t>(info.f_bsize);
  if (access(existing.c_str(), W_OK | X_OK) != 0) {
    facts.usable = absl::ErrnoToStatus(errno, absl::StrCat("cannot make files in ", existing));
  }
  return facts;
}

void ReadProcessor(DoctorFacts& facts) {
  const host::ProcDirectory proc;
  // The first processor's; the others have the same.
  const std::string text = host::ReadTextFile(proc.PathOf("cpuinfo")).value_or("");
  const size_t start = text.find("\nflags");
  if (start != std::string::npos) {
    const std::string flags = text.substr(start, text.find('\n', start + 1) - start) + " ";
    facts.constant_tsc = absl::StrContains(flags, " constant_tsc ");
    facts.nonstop_tsc = absl::StrContains(flags, " nonstop_tsc ");
  }
  facts.gs_base = (getauxval(AT_HWCAP2) & kHasFsgsbase) != 0;
  facts.clocksource = std::string(absl::StripAsciiWhitespace(
      host::ReadTextFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
          .value_or("unknown")));
}

void ReadRights(DoctorFacts& facts) {
  const host::ProcDirectory proc;
  const host::AttachPowers powers = host::ReadAttachPowers(proc);
  facts.uid = powers.uid;
  facts.can_trace_anybody = powers.can_trace_anybody;
  facts.yama_scope = powers.yama_scope;
  const auto status = proc.Read(getpid(), "status");
  if (!status.ok()) return;
  const auto own = host::ParseProcStatus(*status);
  facts.seccomp_filter = own.ok() && own->seccomp == host::SeccompMode::kFilter;
}

std::vector<RuntimeFacts> ReadRuntimes() {
  struct Runtime {
    const char* name;
    const char* trace;  // there where the runtime has been used
    const char* names;  // where its containers' names are
  };
  constexpr Runtime kRuntimes[] = {
      {"podman or CRI-O", "/var/lib/containers/storage", "/var/lib/containers/storage"},
      {"docker", "/var/lib/docker", "/var/lib/docker/containers"},
      {"containerd", "/run/containerd", "/run/containerd/io.containerd.runtime.v2.task"}};
  std::vector<RuntimeFacts> runtimes;
  for (const Runtime& runtime : kRuntimes) {
    if (access(runtime.trace, F_OK) != 0) continue;
    // A folder that is not there yet keeps nothing back.
    const bool readable = access(runtime.names, R_OK | X_OK) == 0 || errno == ENOENT;
    runtimes.push_back({runtime.name, readable});
  }
  return runtimes;
}

std::vector<PortFacts> ReadPorts() {
  std::vector<PortFacts> ports = {{"tracer", 7071, "", false},
                                  {"backend", 7072, "", false},
                                  {"query engine", 7073, "", false},
                                  {"mcp bridge", 7074, "", false}};
  for (PortFacts& port : ports) {
    const PortHolder holder = FindPortHolder(port.port);
    port.holder = holder.label;
    port.ours = holder.ours;
  }
  return ports;
}

}  // namespace

std::string ExistingPart(const std::string& path) {
  std::error_code error;
  std::filesystem::path part = std::filesystem::absolute(path, error);
  while (part.has_relative_path() && !std::filesystem::exists(part, error)) {
    part = part.parent_path();
  }
  return part.string();
}

DoctorFacts ReadDoctorFacts(const CommandLine& line) {
  DoctorFacts facts;
  struct utsname names;
  if (uname(&names) == 0) {
    facts.kernel_release = names.release;
    facts.machine = names.machine;
  }
  ReadProcessor(facts);
  ReadRights(facts);
  facts.traced_child = TraceChild();
  facts.hook_cost = stub::MeasureCallCost();
  const lane::LaneLimits defaults = tracer::TracerConfig().limits;
  const uint64_t threads =
      line.max_threads > 0 ? static_cast<uint64_t>(line.max_threads) : uint64_t{defaults.threads};
  const uint64_t lane =
      line.lane_bytes > 0 ? static_cast<uint64_t>(line.lane_bytes) : uint64_t{defaults.ring_bytes};
  facts.one_lane_bytes = lane + kSlotBytes;
  facts.default_lane_bytes = threads * facts.one_lane_bytes;
  facts.lanes = ReadDirectory(line.state_directory.empty() ? tracer::DefaultStateDirectory()
                                                          : line.state_directory);
  facts.store = ReadDirectory(line.store);
  const absl::StatusOr<rpc::Endpoints> owner = rpc::ReadEndpointFile(line.store);
  if (owner.ok()) facts.store_owner = absl::StrCat(owner->pid);
  facts.runtimes = ReadRuntimes();
  facts.ports = ReadPorts();
  return facts;
}

}  // namespace flightrec::cli
