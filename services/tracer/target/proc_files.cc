#include "services/tracer/target/proc_files.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>

#include <fstream>
#include <sstream>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace flightrec::target {
namespace {

constexpr size_t kStartTicksField = 19;  // field 22, counted behind the name
constexpr size_t kStackStartField = kStartTicksField + 6;

absl::StatusOr<std::string> ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  return text.str();
}

absl::StatusOr<uint64_t> ReadStatField(const std::string& stat_path, size_t field) {
  const absl::StatusOr<std::string> text = ReadText(stat_path);
  if (!text.ok()) return text.status();
  // The name in parentheses may contain anything, parentheses too.
  const size_t end = text->rfind(") ");
  uint64_t value = 0;
  if (end != std::string::npos) {
    const std::vector<std::string> fields = absl::StrSplit(text->substr(end + 2), ' ');
    if (fields.size() > field && absl::SimpleAtoi(fields[field], &value)) return value;
  }
  return absl::NotFoundError(absl::StrCat("no field ", field + 3, " in ", stat_path));
}

}  // namespace

absl::StatusOr<uint64_t> ReadStartTicks(const std::string& stat_path) {
  return ReadStatField(stat_path, kStartTicksField);
}

uint64_t ReadStackStart(pid_t pid) {
  return ReadStatField(absl::StrCat("/proc/", pid, "/stat"), kStackStartField).value_or(0);
}

absl::StatusOr<std::string> ReadBootId() {
  const absl::StatusOr<std::string> text = ReadText("/proc/sys/kernel/random/boot_id");
  if (!text.ok()) return text.status();
  return std::string(absl::StripAsciiWhitespace(*text));
}

absl::StatusOr<EntryPoints> ReadEntryPoints(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/auxv");
  const absl::StatusOr<std::string> bytes = ReadText(path);
  if (!bytes.ok()) return bytes.status();
  EntryPoints entries;
  for (size_t at = 0; at + sizeof(Elf64_auxv_t) <= bytes->size(); at += sizeof(Elf64_auxv_t)) {
    Elf64_auxv_t item;
    bytes->copy(reinterpret_cast<char*>(&item), sizeof(item), at);
    if (item.a_type == AT_ENTRY) entries.program = item.a_un.a_val;
    if (item.a_type == AT_BASE) entries.loader = item.a_un.a_val;
    if (item.a_type == AT_PHDR) entries.headers = item.a_un.a_val;
    if (item.a_type == AT_PHNUM) entries.header_count = item.a_un.a_val;
  }
  if (entries.program == 0) {
    return absl::NotFoundError(absl::StrCat("no entry point in ", path));
  }
  return entries;
}

absl::StatusOr<ThreadStatus> ReadThreadStatus(pid_t pid, pid_t tid) {
  const absl::StatusOr<std::string> text =
      ReadText(absl::StrCat("/proc/", pid, "/task/", tid, "/status"));
  if (!text.ok()) return text.status();
  ThreadStatus status;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    const absl::string_view value = absl::StripAsciiWhitespace(field.second);
    // Numbers keep their 0 where the text is none.
    if (field.first == "State" && !value.empty()) status.state = value[0];
    if (field.first == "TracerPid") absl::SimpleAtoi(value, &status.tracer);
    if (field.first == "Seccomp_filters") absl::SimpleAtoi(value, &status.seccomp_filters);
  }
  return status;
}

std::string ReadThreadName(pid_t pid, uint32_t tid) {
  absl::StatusOr<std::string> text = ReadText(absl::StrCat("/proc/", pid, "/task/", tid, "/comm"));
  if (!text.ok()) return "";
  return std::string(absl::StripSuffix(*text, "\n"));
}

absl::StatusOr<std::vector<pid_t>> ListThreads(pid_t pid) {
  std::vector<pid_t> threads;
  const std::string path = absl::StrCat("/proc/", pid, "/task");
  DIR* folder = opendir(path.c_str());
  if (folder == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot list ", path));
  absl::Cleanup close_folder = [folder] { closedir(folder); };
  while (const dirent* entry = readdir(folder)) {
    pid_t tid = 0;
    if (absl::SimpleAtoi(entry->d_name, &tid)) threads.push_back(tid);
  }
  return threads;
}

}  // namespace flightrec::target
