#include "services/flightrec/doctor.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace flightrec::cli {
namespace {

// FSGSBASE for programs came with it.
constexpr int kOldestMajor = 5;
constexpr int kOldestMinor = 9;
// A store with less room stops soon.
constexpr uint64_t kLittleStoreBytes = uint64_t{1} << 30;
constexpr uint64_t kLeastStoreBytes = uint64_t{64} << 20;
constexpr int kYamaDescendants = 1;
constexpr int kYamaNobody = 3;

Finding Ok(std::string check, std::string found) {
  return {Health::kOk, std::move(check), std::move(found), ""};
}

Finding Warn(std::string check, std::string found, std::string remedy) {
  return {Health::kWarn, std::move(check), std::move(found), std::move(remedy)};
}

Finding Fail(std::string check, std::string found, std::string remedy) {
  return {Health::kFail, std::move(check), std::move(found), std::move(remedy)};
}

std::string Mebibytes(uint64_t bytes) { return absl::StrCat(GroupDigits(bytes >> 20), " MiB"); }

Finding CheckMachine(const DoctorFacts& facts) {
  if (facts.machine == "x86_64") return Ok("machine", "64-bit x86");
  return Fail("machine", facts.machine, "only 64-bit x86 machines can record");
}

Finding CheckKernel(const DoctorFacts& facts) {
  int major = 0;
  int minor = 0;
  const std::string found = absl::StrCat("Linux ", facts.kernel_release);
  if (std::sscanf(facts.kernel_release.c_str(), "%d.%d", &major, &minor) != 2) {
    return Warn("kernel", absl::StrCat(found, " is no version that is understood"),
                "Linux 5.9 or newer is needed");
  }
  if (std::make_pair(major, minor) >= std::make_pair(kOldestMajor, kOldestMinor)) {
    return Ok("kernel", found);
  }
  return Fail("kernel", found, "boot Linux 5.9 or newer");
}

Finding CheckGsBase(const DoctorFacts& facts) {
  if (facts.gs_base) return Ok("gs base", "programs may use it (FSGSBASE)");
  return Fail("gs base", "programs may not use it (no FSGSBASE)",
              "boot Linux 5.9 or newer without nofsgsbase, on a processor since 2012; in a virtual "
              "machine, pass the processor's fsgsbase flag through");
}

Finding CheckClock(const DoctorFacts& facts) {
  const std::string source = absl::StrCat("clocksource ", facts.clocksource);
  if (!facts.constant_tsc || !facts.nonstop_tsc) {
    return Warn("time stamps",
                absl::StrCat("the processor's counter may change its speed or stop (",
                             facts.constant_tsc ? "" : "no constant_tsc",
                             facts.constant_tsc || facts.nonstop_tsc ? "" : ", ",
                             facts.nonstop_tsc ? "" : "no nonstop_tsc", ")"),
                "counts stay exact, times are not to be trusted; in a virtual machine, pass "
                "invtsc through");
  }
  // Clocks of hypervisors are made from the counter.
  for (const char* good : {"tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "xen"}) {
    if (facts.clocksource == good) {
      return Ok("time stamps", absl::StrCat("invariant counter, ", source));
    }
  }
  return Warn("time stamps",
              absl::StrCat("the kernel does not trust the processor's counter (", source, ")"),
              "see its log for tsc: unstable; times of several processors may not fit together");
}

Finding CheckOwnTracing(const DoctorFacts& facts) {
  if (facts.traced_child.ok()) return Ok("ptrace", "programs that flightrec starts can be traced");
  return Fail("ptrace", absl::StrCat("a child cannot be traced: ", facts.traced_child.message()),
              facts.seccomp_filter
                  ? "a seccomp filter is on: start the container with --cap-add SYS_PTRACE or "
                    "--security-opt seccomp=unconfined, or run flightrec outside of this sandbox"
                  : "run flightrec outside of this sandbox or debugger");
}

Finding CheckHook(const DoctorFacts& facts) {
  if (facts.hook_cost.ok()) {
    return Ok("hooks", absl::StrFormat("a hooked call takes %.0f ns more", *facts.hook_cost));
  }
  return Fail("hooks", absl::StrCat("a hook cannot run here: ", facts.hook_cost.status().message()),
              "allow programs to make memory executable (SELinux: setsebool deny_execmem off), and "
              "see gs base");
}

Finding CheckCapability(const DoctorFacts& facts) {
  if (facts.can_trace_anybody) return Ok("capabilities", "CAP_SYS_PTRACE: processes of every user");
  return Warn(
      "capabilities",
      absl::StrCat("no CAP_SYS_PTRACE: only processes of user ", facts.uid, " can be attached to"),
      "run as root, setcap cap_sys_ptrace+ep, or --cap-add SYS_PTRACE in a container");
}

Finding CheckYama(const DoctorFacts& facts) {
  const std::string found = absl::StrCat("kernel.yama.ptrace_scope is ", facts.yama_scope);
  if (facts.yama_scope == 0) return Ok("yama", "does not restrict tracing");
  if (facts.yama_scope >= kYamaNobody) {
    return Warn("yama", absl::StrCat(found, ": nobody can attach; flightrec run works"),
                "lower it in /etc/sysctl.d and start the machine again");
  }
  if (facts.can_trace_anybody) {
    return Ok("yama", absl::StrCat(found, ", which CAP_SYS_PTRACE overrides"));
  }
  return Warn("yama", absl::StrCat(found, ": running processes cannot be attached to"),
              facts.yama_scope == kYamaDescendants
                  ? "run as root, or sysctl kernel.yama.ptrace_scope=0"
                  : "run as root or with CAP_SYS_PTRACE");
}

Finding CheckSeccomp(const DoctorFacts& facts) {
  if (!facts.seccomp_filter) return Ok("seccomp", "flightrec runs without a filter");
  return Warn("seccomp", "flightrec runs under a filter",
              "programs that it starts inherit it; if they fail, start the container with "
              "--security-opt seccomp=unconfined");
}

Finding CheckLanes(const DoctorFacts& facts) {
  const DirectoryFacts& lanes = facts.lanes;
  if (!lanes.usable.ok()) {
    return Fail("lanes", absl::StrCat(lanes.path, ": ", lanes.usable.message()),
                "make it writable for this user, or name another --state_dir on tmpfs");
  }
  // No code comes from a file: stubs and agent are written into memory of the program.
  const std::string found = absl::StrCat(lanes.path, " has ", Mebibytes(lanes.free_bytes), " free",
                                         lanes.noexec ? " (noexec, which does no harm)" : "");
  const std::string needed =
      absl::StrCat("a program of 64 threads takes ", Mebibytes(facts.default_lane_bytes));
  constexpr char kGrow[] =
      "mount -o remount,size=2G /dev/shm, or --shm-size=2g for a container; or record fewer "
      "threads (--max_threads) with smaller lanes (--lane_bytes)";
  if (!lanes.on_tmpfs) {
    return Fail("lanes", absl::StrCat(lanes.path, " is not on tmpfs"),
                "mount -t tmpfs tmpfs /dev/shm, or name another --state_dir");
  }
  if (lanes.free_bytes < facts.one_lane_bytes) {
    return Fail("lanes",
                absl::StrCat(found, ", and one thread takes ", Mebibytes(facts.one_lane_bytes)),
                kGrow);
  }
  if (lanes.free_bytes < facts.default_lane_bytes) {
    return Warn("lanes", absl::StrCat(found, "; ", needed), kGrow);
  }
  return Ok("lanes", found);
}

Finding CheckStore(const DoctorFacts& facts) {
  const DirectoryFacts& store = facts.store;
  if (!store.usable.ok()) {
    return Fail("store", absl::StrCat(store.path, ": ", store.usable.message()),
                "name a directory of yours with --store");
  }
  std::string found = absl::StrCat(store.path, " has ", Mebibytes(store.free_bytes), " free");
  if (!facts.store_owner.empty()) {
    absl::StrAppend(&found, " and is served by process ", facts.store_owner);
  }
  constexpr char kRoom[] = "make room, or name a directory on another disk with --store";
  if (store.free_bytes < kLeastStoreBytes) return Fail("store", found, kRoom);
  if (store.free_bytes < kLittleStoreBytes) return Warn("store", found, kRoom);
  return Ok("store", found);
}

Finding CheckRuntimes(const DoctorFacts& facts) {
  if (facts.runtimes.empty())
    return Ok("containers", "no runtime found; processes of the host only");
  std::vector<std::string> names;
  std::vector<std::string> hidden;
  for (const RuntimeFacts& runtime : facts.runtimes) {
    (runtime.readable ? names : hidden).push_back(runtime.name);
  }
  if (hidden.empty()) {
    return Ok("containers", absl::StrCat("names are those of ", absl::StrJoin(names, ", ")));
  }
  return Warn("containers",
              absl::StrCat("names of ", absl::StrJoin(hidden, ", "), " cannot be read"),
              "run as root; containers are shown by their short ids until then");
}

Finding CheckPorts(const DoctorFacts& facts) {
  std::vector<std::string> ours;
  std::vector<std::string> taken;
  for (const PortFacts& port : facts.ports) {
    if (port.holder.empty()) continue;
    (port.ours ? ours : taken)
        .push_back(absl::StrCat(port.port, " (", port.service, ") by ", port.holder));
  }
  if (!taken.empty()) {
    return Warn("ports", absl::StrCat("taken by others: ", absl::StrJoin(taken, ", ")),
                "flightrec up and the services need other ones: --tracer=HOST:PORT and its kin; "
                "flightrec run needs none");
  }
  if (!ours.empty()) {
    return Ok("ports", absl::StrCat("served by flightrec: ", absl::StrJoin(ours, ", ")));
  }
  return Ok("ports", "free for flightrec up");
}

const char* Word(Health health) {
  switch (health) {
    case Health::kOk:
      return "ok";
    case Health::kWarn:
      return "warn";
    case Health::kFail:
      return "FAIL";
  }
  return "?";
}

std::string Summary(const std::vector<Finding>& findings) {
  const auto count = [&](Health health) {
    return std::count_if(findings.begin(), findings.end(),
                         [&](const Finding& one) { return one.health == health; });
  };
  const auto warned = count(Health::kWarn);
  const std::string warnings = absl::StrCat(warned, warned == 1 ? " warning" : " warnings");
  if (WillRecord(findings)) return absl::StrCat("recording works here; ", warnings);
  return absl::StrCat("recording does not work here: ", count(Health::kFail), " of ",
                      findings.size(), " checks failed; ", warnings);
}

}  // namespace

std::vector<Finding> Diagnose(const DoctorFacts& facts) {
  return {CheckMachine(facts),    CheckKernel(facts), CheckGsBase(facts),     CheckClock(facts),
          CheckOwnTracing(facts), CheckHook(facts),   CheckCapability(facts), CheckYama(facts),
          CheckSeccomp(facts),    CheckLanes(facts),  CheckStore(facts),      CheckRuntimes(facts),
          CheckPorts(facts)};
}

bool WillRecord(const std::vector<Finding>& findings) {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& one) { return one.health == Health::kFail; });
}

View DescribeFindings(const std::vector<Finding>& findings, OutputFormat format) {
  View view;
  if (format != OutputFormat::kTable) {
    view.table.columns = {{"check"}, {"health"}, {"found"}, {"remedy"}};
    for (const Finding& one : findings) {
      Cell remedy;
      if (!one.remedy.empty()) remedy = one.remedy;
      view.table.rows.push_back({one.check, std::string(Word(one.health)), one.found, remedy});
    }
    return view;
  }
  for (const Finding& one : findings) {
    absl::StrAppendFormat(&view.heading, "%-4s  %-12s  %s%s%s\n", Word(one.health), one.check,
                          one.found, one.remedy.empty() ? "" : "; ", one.remedy);
  }
  absl::StrAppend(&view.heading, "\n", Summary(findings), "\n");
  return view;
}

}  // namespace flightrec::cli
