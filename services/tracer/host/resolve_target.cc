#include "services/tracer/host/resolve_target.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/tracer/pattern/suggestions.h"

namespace flightrec::host {
namespace {

constexpr size_t kMinIdDigits = 12;  // what runtimes print
constexpr size_t kMostListed = 10;
constexpr size_t kMostSuggested = 3;

using Processes = std::vector<const ListedProcess*>;

bool IsNumber(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
}

bool IsContainer(const ListedProcess& one, absl::string_view name) {
  const std::string& id = one.process.container.id;
  if (id.empty()) return false;
  return one.names.name == name || (name.size() >= kMinIdDigits && absl::StartsWith(id, name));
}

bool IsProgram(const ListedProcess& one, absl::string_view name) {
  return one.process.status.name == name || one.process.ShortName() == name;
}

bool CanBeMeant(const ListedProcess& one) {
  return !one.process.stat.kernel_thread && !one.process.ended();
}

template <typename Predicate>
Processes Matching(const Processes& processes, Predicate predicate) {
  Processes matching;
  std::copy_if(processes.begin(), processes.end(), std::back_inserter(matching),
               [&](const ListedProcess* one) { return predicate(*one); });
  return matching;
}

// Those whose parent is not in the same container: pid 1 there, or what `exec` of the runtime
// started.
Processes FirstOfContainer(const Processes& inside) {
  const Processes init = Matching(inside, [](const ListedProcess& one) {
    const std::vector<pid_t>& pids = one.process.status.namespace_pids;
    return pids.size() > 1 && pids.back() == 1;
  });
  if (init.size() == 1) return init;
  std::set<pid_t> pids;
  for (const ListedProcess* one : inside) pids.insert(one->process.pid);
  return Matching(
      inside, [&](const ListedProcess& one) { return pids.count(one.process.status.parent) == 0; });
}

std::string Describe(const ListedProcess& one) {
  const std::string& id = one.process.container.id;
  const std::string& name = one.names.name;
  return absl::StrCat(
      one.process.Label(),
      id.empty() ? "" : absl::StrCat(" in container ", name.empty() ? ShortId(id) : name));
}

absl::Status Several(absl::string_view target, const Processes& processes) {
  std::vector<std::string> shown;
  for (const ListedProcess* one : processes) {
    if (shown.size() == kMostListed) break;
    shown.push_back(Describe(*one));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "'", target, "' names ", processes.size(), " processes: ", absl::StrJoin(shown, ", "),
      processes.size() > shown.size() ? ", ..." : "", "; give the pid of one"));
}

absl::Status None(absl::string_view target, const Processes& processes) {
  pattern::Suggestions suggestions(target, kMostSuggested);
  std::set<std::string> names;
  for (const ListedProcess* one : processes) {
    names.insert(one->process.ShortName());
    if (!one->names.name.empty()) names.insert(one->names.name);
  }
  for (const std::string& name : names) suggestions.Consider(name);
  const std::vector<std::string> best = suggestions.Best();
  return absl::NotFoundError(absl::StrCat(
      "no process or container is called '", target, "'",
      best.empty() ? "" : absl::StrCat("; did you mean ", absl::StrJoin(best, ", "), "?"),
      "; flightrec ps lists them"));
}

absl::StatusOr<pid_t> TheOnlyOne(absl::string_view target, const Processes& found,
                                 const Processes& all) {
  if (found.empty()) return None(target, all);
  if (found.size() > 1) return Several(target, found);
  return found.front()->process.pid;
}

}  // namespace

absl::StatusOr<pid_t> ResolveTarget(absl::string_view target,
                                    const std::vector<ListedProcess>& processes) {
  if (target.empty()) {
    return absl::InvalidArgumentError(
        "no process was named: give a pid, a container or the name of a program; see flightrec ps");
  }
  if (IsNumber(target)) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(target, &pid) && pid > 0) return pid;
    return absl::InvalidArgumentError(absl::StrCat("pid ", target, " is out of range"));
  }
  Processes alive;
  for (const ListedProcess& one : processes) {
    if (CanBeMeant(one)) alive.push_back(&one);
  }
  const Processes inside =
      Matching(alive, [&](const ListedProcess& one) { return IsContainer(one, target); });
  if (!inside.empty()) return TheOnlyOne(target, FirstOfContainer(inside), alive);
  const size_t slash = target.find('/');
  if (slash == absl::string_view::npos) {
    return TheOnlyOne(
        target, Matching(alive, [&](const ListedProcess& one) { return IsProgram(one, target); }),
        alive);
  }
  const absl::string_view container = target.substr(0, slash);
  const absl::string_view program = target.substr(slash + 1);
  return TheOnlyOne(target,
                    Matching(alive,
                             [&](const ListedProcess& one) {
                               return IsContainer(one, container) && IsProgram(one, program);
                             }),
                    alive);
}

absl::StatusOr<pid_t> ResolveTarget(absl::string_view target, const ProcDirectory& proc) {
  // A pid needs no listing.
  if (target.empty() || IsNumber(target))
    return ResolveTarget(target, std::vector<ListedProcess>());
  absl::StatusOr<std::vector<HostProcess>> processes = ListHostProcesses(proc);
  if (!processes.ok()) return processes.status();
  const ContainerCatalog catalog;
  std::vector<ListedProcess> listed;
  for (HostProcess& process : *processes) {
    ContainerNames names;
    if (!process.container.id.empty()) names = catalog.Find(process.container);
    listed.push_back({std::move(process), std::move(names)});
  }
  return ResolveTarget(target, listed);
}

}  // namespace flightrec::host
