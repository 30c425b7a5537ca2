#include "services/tracer/target/thread_ids.h"

#include <fstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "services/tracer/target/proc_files.h"

namespace flightrec::target {

absl::optional<uint32_t> ThreadIds::OwnTid(pid_t pid, uint32_t host_tid) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/task/", host_tid, "/status"));
  for (std::string line; std::getline(status, line);) {
    absl::string_view tids = line;
    // "NSpid:" of a thread has its tids, in the tracer's namespace first.
    if (!absl::ConsumePrefix(&tids, "NSpid:")) continue;
    uint32_t own = 0;
    for (absl::string_view tid : absl::StrSplit(tids, absl::ByAnyChar("\t "), absl::SkipEmpty())) {
      if (!absl::SimpleAtoi(tid, &own)) return absl::nullopt;
    }
    if (own != 0) return own;
  }
  return absl::nullopt;
}

ThreadIds::ThreadIds(pid_t pid)
    : pid_(pid),
      same_namespace_(
          OwnTid(pid, static_cast<uint32_t>(pid)).value_or(static_cast<uint32_t>(pid)) ==
          static_cast<uint32_t>(pid)) {}

uint32_t ThreadIds::Find(uint32_t tid) {
  const auto known = by_tid_.find(tid);
  if (known != by_tid_.end() && OwnTid(pid_, known->second) == tid) return known->second;
  by_tid_.clear();
  const absl::StatusOr<std::vector<pid_t>> threads = ListThreads(pid_);
  if (!threads.ok()) return kEnded;
  for (const pid_t host : *threads) {
    const absl::optional<uint32_t> own = OwnTid(pid_, static_cast<uint32_t>(host));
    if (own.has_value()) by_tid_[*own] = static_cast<uint32_t>(host);
  }
  const auto found = by_tid_.find(tid);
  return found == by_tid_.end() ? kEnded : found->second;
}

uint32_t ThreadIds::OnHost(uint32_t tid, uint64_t ordinal) {
  if (same_namespace_) return tid;
  if (ordinal == 0) return Find(tid);
  const auto known = by_ordinal_.find(ordinal);
  if (known != by_ordinal_.end()) return known->second;
  if (by_ordinal_.size() >= kMaxKnown) by_ordinal_.clear();
  return by_ordinal_[ordinal] = Find(tid);
}

}  // namespace flightrec::target
