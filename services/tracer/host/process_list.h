// The processes of this host for somebody who looks for one to hook: what they are, where they
// run, whether they can be hooked.
//
// Thread-safe. Reads /proc and files of container runtimes; changes nothing. Kernel threads are
// left out.
#ifndef SERVICES_TRACER_HOST_PROCESS_LIST_H_
#define SERVICES_TRACER_HOST_PROCESS_LIST_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "services/tracer/host/attachable.h"
#include "services/tracer/host/container_catalog.h"
#include "services/tracer/host/hookable_counter.h"
#include "services/tracer/host/host_process.h"
#include "services/tracer/host/proc_directory.h"
#include "services/tracer/host/process_filter.h"

namespace flightrec::host {

struct ProcessRow {
  HostProcess process;
  std::string user;
  ContainerNames names;
  // Of this tracer; empty: none.
  std::string recording;
  Attachability attach;
  // Unset: not counted.
  absl::optional<HookableShare> share;
};

struct ProcessQuery {
  ProcessFilter filter;
  // Only larger pids: where the page before ended.
  pid_t after = 0;
  size_t limit = 0;
  // How long to wait for functions to be counted; unset: they are not.
  absl::optional<absl::Duration> counting;
  // Resource names of recordings by pid.
  absl::flat_hash_map<pid_t, std::string> recordings;
};

struct ProcessPage {
  std::vector<ProcessRow> rows;  // by pid
  bool more = false;
};

class ProcessList {
 public:
  // `root`: where the host's file system begins.
  explicit ProcessList(ProcDirectory proc = ProcDirectory(), std::string root = "");

  absl::StatusOr<ProcessPage> List(const ProcessQuery& query);

 private:
  ProcessRow Describe(HostProcess process, const ProcessQuery& query, const AttachPowers& powers,
                      const ContainerCatalog& catalog) const;
  void Count(std::vector<ProcessRow>& rows, absl::Duration time);

  const ProcDirectory proc_;
  const std::string root_;
  HookableCounter counter_;
};

}  // namespace flightrec::host

#endif  // SERVICES_TRACER_HOST_PROCESS_LIST_H_
