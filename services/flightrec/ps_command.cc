#include "services/flightrec/ps_command.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"

namespace flightrec::cli {
namespace {

using capture::v1::HostProcess;

constexpr absl::Duration kPsDeadline = absl::Seconds(30);
constexpr int kPage = 200;
constexpr size_t kMaxProcesses = 100000;
constexpr size_t kCommandWidth = 60;
constexpr size_t kShortId = 12;
// Rows whose obstacle is told in full.
constexpr size_t kDescribed = 5;

// The listing is of this host in all but odd cases: then the obstacle is none of ours.
bool IsThis(const HostProcess& process) {
  return process.pid() == getpid() &&
         (process.obstacle() == "ITSELF" || process.obstacle() == "OWN_SERVICE");
}

std::string CommandOf(const HostProcess& process) {
  if (process.command().empty()) return absl::StrCat("[", process.process_name(), "]");
  return absl::StrJoin(process.command(), " ");
}

// Without half a character at its end.
std::string Cut(std::string text) {
  if (text.size() <= kCommandWidth) return text;
  size_t end = kCommandWidth;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  text.resize(end);
  return text + "...";
}

std::string ContainerOf(const HostProcess& process) {
  const capture::v1::HostContainer& container = process.container();
  return container.container_name().empty() ? container.container_id().substr(0, kShortId)
                                            : container.container_name();
}

Cell TextOrNothing(const std::string& text) {
  if (text.empty()) return {};
  return text;
}

Cell Functions(const HostProcess& process) {
  if (!process.has_functions()) return {};
  return static_cast<uint64_t>(process.functions());
}

Cell Share(const HostProcess& process) {
  if (!process.has_functions() || process.functions() == 0) return {};
  return absl::StrFormat("%.0f %%", 100.0 * static_cast<double>(process.hookable_functions()) /
                                        static_cast<double>(process.functions()));
}

std::string Attach(const HostProcess& process) {
  if (process.attachable()) return "yes";
  return absl::StrCat("no: ", absl::AsciiStrToLower(process.obstacle()));
}

Table ForPeople(const std::vector<HostProcess>& processes) {
  const bool containers =
      std::any_of(processes.begin(), processes.end(),
                  [](const HostProcess& process) { return process.has_container(); });
  Table table;
  table.columns = {{"pid"}, {"user"}, {"threads"}, {"functions"}, {"hookable"}, {"attach"}};
  if (containers) {
    table.columns.insert(table.columns.end(), {{"container"}, {"image"}, {"pod"}});
  }
  table.columns.push_back({"command"});
  for (const HostProcess& process : processes) {
    std::vector<Cell> row = {
        absl::StrCat(process.pid()), process.user(), static_cast<uint64_t>(process.threads()),
        Functions(process),          Share(process), Attach(process)};
    if (containers) {
      row.insert(row.end(),
                 {TextOrNothing(ContainerOf(process)), TextOrNothing(process.container().image()),
                  TextOrNothing(process.container().pod())});
    }
    row.emplace_back(Cut(CommandOf(process)));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table ForPrograms(const std::vector<HostProcess>& processes) {
  Table table;
  for (const char* name : {"pid",
                           "parent_pid",
                           "user",
                           "uid",
                           "threads",
                           "name",
                           "command",
                           "executable",
                           "container",
                           "container_id",
                           "runtime",
                           "image",
                           "pod",
                           "pod_namespace",
                           "pod_uid",
                           "functions",
                           "hookable_functions",
                           "attachable",
                           "obstacle",
                           "obstacle_description",
                           "recording"}) {
    table.columns.push_back({name});
  }
  for (const HostProcess& process : processes) {
    const capture::v1::HostContainer& container = process.container();
    Cell hookable;
    if (process.has_functions()) hookable = static_cast<uint64_t>(process.hookable_functions());
    table.rows.push_back({static_cast<int64_t>(process.pid()),
                          static_cast<int64_t>(process.parent_pid()),
                          process.user(),
                          static_cast<uint64_t>(process.uid()),
                          static_cast<uint64_t>(process.threads()),
                          process.process_name(),
                          CommandOf(process),
                          TextOrNothing(process.executable()),
                          TextOrNothing(container.container_name()),
                          TextOrNothing(container.container_id()),
                          TextOrNothing(container.runtime()),
                          TextOrNothing(container.image()),
                          TextOrNothing(container.pod()),
                          TextOrNothing(container.pod_namespace()),
                          TextOrNothing(container.pod_uid()),
                          Functions(process),
                          hookable,
                          process.attachable(),
                          TextOrNothing(process.obstacle()),
                          TextOrNothing(process.obstacle_description()),
                          TextOrNothing(process.recording())});
  }
  return table;
}

// Why not, of a few processes that were asked for.
std::string Obstacles(const std::vector<HostProcess>& processes, const CommandLine& line) {
  std::vector<std::string> sentences;
  for (const HostProcess& process : processes) {
    if (!process.attachable()) sentences.push_back(process.obstacle_description());
  }
  if (sentences.empty()) return "";
  if (!line.filter.empty() && sentences.size() <= kDescribed) return absl::StrJoin(sentences, "\n");
  return "flightrec ps PID says what is in the way of that process, and what to do about it";
}

}  // namespace

View DescribeProcesses(const std::vector<HostProcess>& processes, const CommandLine& line) {
  View view;
  if (line.output != OutputFormat::kTable) {
    view.table = ForPrograms(processes);
    return view;
  }
  const auto attachable = static_cast<uint64_t>(std::count_if(
      processes.begin(), processes.end(), [](const HostProcess& one) { return one.attachable(); }));
  view.heading = absl::StrCat(GroupDigits(processes.size()),
                              processes.size() == 1 ? " process, " : " processes, ",
                              GroupDigits(attachable), " can be attached to\n\n");
  view.table = ForPeople(processes);
  view.footnote = Obstacles(processes, line);
  return view;
}

absl::StatusOr<View> Ps(capture::v1::CaptureService::StubInterface& capture,
                        const CommandLine& line) {
  std::vector<HostProcess> processes;
  capture::v1::ListProcessesRequest request;
  request.set_page_size(kPage);
  request.set_filter(line.filter);
  request.set_view(capture::v1::PROCESS_VIEW_FULL);
  const size_t limit = line.limit > 0 ? static_cast<size_t>(line.limit) : kMaxProcesses;
  while (true) {
    grpc::ClientContext context;
    rpc::SetDeadline(context, kPsDeadline);
    capture::v1::ListProcessesResponse page;
    grpc::Status asked = capture.ListProcesses(&context, request, &page);
    if (!asked.ok()) return rpc::FromGrpcStatus(asked);
    for (HostProcess& process : *page.mutable_processes()) {
      if (processes.size() < limit && !IsThis(process)) processes.push_back(std::move(process));
    }
    if (page.next_page_token().empty() || processes.size() >= limit) break;
    request.set_page_token(page.next_page_token());
  }
  if (processes.empty()) {
    return absl::NotFoundError(absl::StrCat("no process matches '", line.filter,
                                            "'; flightrec ps without words lists all"));
  }
  return DescribeProcesses(processes, line);
}

}  // namespace flightrec::cli
