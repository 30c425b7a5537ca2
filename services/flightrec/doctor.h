// `flightrec doctor`: whether this machine can record and attach, one line for each thing that it
// takes, with the remedy where it is missing. Pure functions over facts; doctor_facts.h finds them
// out.

#ifndef SERVICES_FLIGHTREC_DOCTOR_H_
#define SERVICES_FLIGHTREC_DOCTOR_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/flightrec/command_line.h"
#include "services/flightrec/views.h"

namespace flightrec::cli {

struct DirectoryFacts {
  std::string path;
  // Whether this user can make files in it.
  absl::Status usable;
  bool on_tmpfs = false;
  uint64_t free_bytes = 0;
  bool noexec = false;
};

struct RuntimeFacts {
  std::string name;
  bool readable = false;  // its names of containers
};

struct PortFacts {
  std::string service;
  int port = 0;
  std::string holder;  // "1234 (nginx)"; empty: free
  bool ours = false;   // a process of flightrec
};

struct DoctorFacts {
  std::string kernel_release;  // "6.1.0-13-amd64"
  std::string machine;         // "x86_64"
  bool gs_base = false;        // FSGSBASE, bit 1 of AT_HWCAP2
  bool constant_tsc = false;   // runs at one speed
  bool nonstop_tsc = false;    // goes on in deep sleep
  std::string clocksource;
  uid_t uid = 0;
  bool can_trace_anybody = false;  // CAP_SYS_PTRACE
  int yama_scope = 0;              // 0 too where there is no Yama
  bool seccomp_filter = false;     // of this process
  // A child of this process was traced.
  absl::Status traced_child;
  // Nanoseconds a call, measured behind a hook in this process.
  absl::StatusOr<double> hook_cost = 0.0;
  DirectoryFacts lanes;
  uint64_t default_lane_bytes = 0;  // of all threads of a program
  uint64_t one_lane_bytes = 0;
  DirectoryFacts store;
  std::string store_owner;  // "1234"; empty: nobody has it open
  std::vector<RuntimeFacts> runtimes;
  std::vector<PortFacts> ports;
};

enum class Health : uint8_t { kOk, kWarn, kFail };

struct Finding {
  Health health = Health::kOk;
  std::string check;   // one or two words
  std::string found;   // half a sentence
  std::string remedy;  // empty if ok
};

std::vector<Finding> Diagnose(const DoctorFacts& facts);

// No finding has failed.
bool WillRecord(const std::vector<Finding>& findings);

// For people, as lines in the heading; for programs, as a table.
View DescribeFindings(const std::vector<Finding>& findings, OutputFormat format);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_DOCTOR_H_
