#include "services/flightrec/doctor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "services/flightrec/table.h"

namespace flightrec::cli {
namespace {

// A machine where everything is as it should be.
DoctorFacts Healthy() {
  DoctorFacts facts;
  facts.kernel_release = "6.1.0-13-amd64";
  facts.machine = "x86_64";
  facts.gs_base = facts.constant_tsc = facts.nonstop_tsc = true;
  facts.clocksource = "tsc";
  facts.can_trace_anybody = true;
  facts.hook_cost = 19.4;
  facts.lanes = {"/dev/shm/flightrec-0", absl::OkStatus(), true, uint64_t{12} << 30};
  facts.default_lane_bytes = uint64_t{80} << 20;
  facts.one_lane_bytes = uint64_t{2} << 20;
  facts.store = {"/var/lib/flightrec", absl::OkStatus(), false, uint64_t{60} << 30};
  facts.runtimes = {{"podman or CRI-O", true}, {"docker", true}};
  facts.ports = {{"tracer", 7071, "", false}, {"backend", 7072, "", false}};
  return facts;
}

TEST(Doctor, machine_that_has_all__then_every_line_is_ok) {
  const std::vector<Finding> findings = Diagnose(Healthy());
  EXPECT_TRUE(WillRecord(findings));
  EXPECT_EQ(DescribeFindings(findings, OutputFormat::kTable).heading,
            "ok    machine       64-bit x86\n"
            "ok    kernel        Linux 6.1.0-13-amd64\n"
            "ok    gs base       programs may use it (FSGSBASE)\n"
            "ok    time stamps   invariant counter, clocksource tsc\n"
            "ok    ptrace        programs that flightrec starts can be traced\n"
            "ok    hooks         a hooked call takes 19 ns more\n"
            "ok    capabilities  CAP_SYS_PTRACE: processes of every user\n"
            "ok    yama          does not restrict tracing\n"
            "ok    seccomp       flightrec runs without a filter\n"
            "ok    lanes         /dev/shm/flightrec-0 has 12,288 MiB free\n"
            "ok    store         /var/lib/flightrec has 61,440 MiB free\n"
            "ok    containers    names are those of podman or CRI-O, docker\n"
            "ok    ports         free for flightrec up\n"
            "\n"
            "recording works here; 0 warnings\n");
}

struct Illness {
  const char* check;
  Health health;
  std::function<void(DoctorFacts&)> befall;
  const char* found;
  const char* remedy;
};

// One fact of a healthy machine is changed; one line changes, and it helps.
void ExpectDiagnosis(const Illness& illness) {
  DoctorFacts facts = Healthy();
  illness.befall(facts);
  const std::vector<Finding> findings = Diagnose(facts);
  const std::vector<Finding> healthy = Diagnose(Healthy());
  ASSERT_EQ(findings.size(), healthy.size());
  for (size_t i = 0; i < findings.size(); ++i) {
    const Finding& one = findings[i];
    if (one.check != illness.check) {
      EXPECT_EQ(one.found, healthy[i].found) << illness.check << " changed " << one.check;
      continue;
    }
    EXPECT_EQ(one.health, illness.health) << one.check << ": " << one.found;
    EXPECT_TRUE(absl::StrContains(one.found, illness.found)) << one.found;
    EXPECT_TRUE(absl::StrContains(one.remedy, illness.remedy)) << one.remedy;
    EXPECT_EQ(one.remedy.empty(), one.health == Health::kOk) << one.found;
  }
  EXPECT_EQ(WillRecord(findings), illness.health != Health::kFail);
}

void ExpectAll(const std::vector<Illness>& illnesses) {
  for (const Illness& illness : illnesses) ExpectDiagnosis(illness);
}

TEST(Doctor, processor_and_kernel__then_each_lack_has_its_remedy) {
  using F = DoctorFacts;
  ExpectAll({
      {"machine", Health::kFail, [](F& f) { f.machine = "aarch64"; }, "aarch64", "64-bit x86"},
      {"kernel", Health::kFail, [](F& f) { f.kernel_release = "5.8.18"; }, "5.8.18", "boot"},
      {"kernel", Health::kOk, [](F& f) { f.kernel_release = "5.9.0"; }, "5.9.0", ""},
      {"kernel", Health::kWarn, [](F& f) { f.kernel_release = "none"; }, "none", "5.9"},
      {"gs base", Health::kFail, [](F& f) { f.gs_base = false; }, "no FSGSBASE", "nofsgsbase"},
      {"time stamps", Health::kWarn, [](F& f) { f.constant_tsc = false; }, "(no constant_tsc)",
       "invtsc"},
      {"time stamps", Health::kWarn, [](F& f) { f.nonstop_tsc = f.constant_tsc = false; },
       "(no constant_tsc, no nonstop_tsc)", "counts stay exact"},
      {"time stamps", Health::kWarn, [](F& f) { f.clocksource = "hpet"; }, "clocksource hpet",
       "tsc: unstable"},
      {"time stamps", Health::kOk, [](F& f) { f.clocksource = "kvm-clock"; }, "kvm-clock", ""},
  });
}

TEST(Doctor, rights__then_each_lack_has_its_remedy) {
  using F = DoctorFacts;
  ExpectAll({
      {"capabilities", Health::kWarn,
       [](F& f) {
         f.can_trace_anybody = false;
         f.uid = 1000;
       },
       "of user 1000", "setcap cap_sys_ptrace+ep"},
      {"yama", Health::kOk, [](F& f) { f.yama_scope = 1; }, "CAP_SYS_PTRACE overrides", ""},
      {"yama", Health::kWarn, [](F& f) { f.yama_scope = 3; }, "flightrec run works", "sysctl.d"},
      {"seccomp", Health::kWarn, [](F& f) { f.seccomp_filter = true; }, "filter",
       "seccomp=unconfined"},
      {"ptrace", Health::kFail,
       [](F& f) { f.traced_child = absl::PermissionDeniedError("PTRACE_SEIZE: not permitted"); },
       "not permitted", "outside of this sandbox or debugger"},
      {"hooks", Health::kFail, [](F& f) { f.hook_cost = absl::UnavailableError("no gs"); }, "no gs",
       "SELinux"},
  });
  DoctorFacts user = Healthy();
  user.can_trace_anybody = false;
  for (const int scope : {1, 2}) {
    user.yama_scope = scope;
    const std::vector<Finding> findings = Diagnose(user);
    const auto yama = std::find_if(findings.begin(), findings.end(),
                                   [](const Finding& one) { return one.check == "yama"; });
    EXPECT_EQ(yama->health, Health::kWarn);
    EXPECT_EQ(absl::StrContains(yama->remedy, "sysctl"), scope == 1) << yama->remedy;
  }
}

TEST(Doctor, ptrace_under_a_filter__then_the_container_is_the_remedy) {
  DoctorFacts facts = Healthy();
  facts.seccomp_filter = true;
  facts.traced_child = absl::PermissionDeniedError("PTRACE_SEIZE");
  for (const Finding& one : Diagnose(facts)) {
    if (one.check == "ptrace") {
      EXPECT_TRUE(absl::StrContains(one.remedy, "--cap-add SYS_PTRACE")) << one.remedy;
    }
  }
}

TEST(Doctor, room__then_each_lack_has_its_remedy) {
  using F = DoctorFacts;
  const absl::Status denied = absl::PermissionDeniedError("cannot make files");
  ExpectAll({
      {"lanes", Health::kFail, [&](F& f) { f.lanes.usable = denied; }, "cannot make files",
       "--state_dir"},
      {"lanes", Health::kFail, [](F& f) { f.lanes.on_tmpfs = false; }, "not on tmpfs",
       "mount -t tmpfs"},
      {"lanes", Health::kFail, [](F& f) { f.lanes.free_bytes = 1 << 20; }, "one thread takes 2 MiB",
       "--shm-size=2g"},
      {"lanes", Health::kWarn, [](F& f) { f.lanes.free_bytes = 64 << 20; },
       "64 MiB free; a program of 64 threads takes 80 MiB", "--max_threads"},
      {"store", Health::kFail, [&](F& f) { f.store.usable = denied; }, "cannot make files",
       "--store"},
      {"store", Health::kFail, [](F& f) { f.store.free_bytes = 1 << 20; }, "1 MiB free", "room"},
      {"store", Health::kWarn, [](F& f) { f.store.free_bytes = 512 << 20; }, "512 MiB free",
       "room"},
      {"store", Health::kOk, [](F& f) { f.store_owner = "77"; }, "served by process 77", ""},
  });
}

TEST(Doctor, surroundings__then_are_named_and_never_fail) {
  using F = DoctorFacts;
  ExpectAll({
      {"containers", Health::kOk, [](F& f) { f.runtimes.clear(); }, "no runtime found", ""},
      {"containers", Health::kWarn, [](F& f) { f.runtimes[1].readable = false; },
       "names of docker cannot be read", "root"},
      {"ports", Health::kWarn, [](F& f) { f.ports[0].holder = "9 (nginx)"; },
       "7071 (tracer) by 9 (nginx)", "--tracer=HOST:PORT"},
      {"ports", Health::kOk,
       [](F& f) {
         f.ports[1].holder = "9 (backend)";
         f.ports[1].ours = true;
       },
       "served by flightrec: 7072 (backend) by 9 (backend)", ""},
  });
}

TEST(Doctor, failure__then_the_last_line_says_so) {
  DoctorFacts facts = Healthy();
  facts.gs_base = false;
  facts.yama_scope = 3;
  const std::string text = DescribeFindings(Diagnose(facts), OutputFormat::kTable).heading;
  EXPECT_TRUE(absl::StrContains(text, "\nFAIL  gs base       programs may not use it")) << text;
  EXPECT_TRUE(
      absl::EndsWith(text, "\nrecording does not work here: 1 of 13 checks failed; 1 warning\n"))
      << text;
}

TEST(Doctor, for_programs__then_a_row_for_each_check) {
  const View view = DescribeFindings(Diagnose(Healthy()), OutputFormat::kTsv);
  EXPECT_EQ(view.heading, "");
  const std::string text = Format(view.table, OutputFormat::kTsv);
  EXPECT_TRUE(absl::StartsWith(text, "check\thealth\tfound\tremedy\nmachine\tok\t64-bit x86\t\n"))
      << text;
}

}  // namespace
}  // namespace flightrec::cli
