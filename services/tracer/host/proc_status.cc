#include "services/tracer/host/proc_status.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace flightrec::host {
namespace {

// Of /proc/PID/stat, counted behind the name.
constexpr size_t kFlagsField = 6;
constexpr size_t kStartTicksField = 19;
constexpr uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD

// Numbers keep their value where the text is none.
template <typename Number>
void Take(absl::string_view text, Number& number) {
  Number read{};
  if (absl::SimpleAtoi(text, &read)) number = read;
}

std::vector<absl::string_view> Words(absl::string_view text) {
  return absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
}

// "real effective saved file"
template <typename Id>
void TakeIds(absl::string_view text, Id& real, Id& effective, Id& saved) {
  const std::vector<absl::string_view> words = Words(text);
  if (words.size() < 3) return;
  Take(words[0], real);
  Take(words[1], effective);
  Take(words[2], saved);
}

void TakeSeccomp(absl::string_view text, SeccompMode& mode) {
  if (text == "1") mode = SeccompMode::kStrict;
  if (text == "2") mode = SeccompMode::kFilter;
}

void TakeHex(absl::string_view text, uint64_t& bits) {
  uint64_t read = 0;
  if (absl::SimpleHexAtoi(text, &read)) bits = read;
}

// The kernel writes \n and \ of a name as \n and \\.
std::string Unescape(absl::string_view text) {
  std::string name;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 1 < text.size();
    if (escape) ++i;
    name += escape && text[i] == 'n' ? '\n' : text[i];
  }
  return name;
}

void TakeField(absl::string_view field, absl::string_view value, ProcStatus& status) {
  if (field == "Name") status.name = Unescape(value);
  if (field == "State" && !value.empty()) status.state = value[0];
  if (field == "Tgid") Take(value, status.process);
  if (field == "PPid") Take(value, status.parent);
  if (field == "TracerPid") Take(value, status.tracer);
  if (field == "Uid") TakeIds(value, status.real_uid, status.effective_uid, status.saved_uid);
  if (field == "Gid") TakeIds(value, status.real_gid, status.effective_gid, status.saved_gid);
  if (field == "Threads") Take(value, status.threads);
  if (field == "Seccomp") TakeSeccomp(value, status.seccomp);
  if (field == "NoNewPrivs") status.no_new_privileges = value == "1";
  if (field == "CapEff") TakeHex(value, status.capabilities);
  if (field == "NSpid") {
    for (absl::string_view word : Words(value)) {
      pid_t pid = 0;
      if (absl::SimpleAtoi(word, &pid)) status.namespace_pids.push_back(pid);
    }
  }
}

}  // namespace

absl::StatusOr<ProcStatus> ParseProcStatus(absl::string_view text) {
  ProcStatus status;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos) continue;
    TakeField(line.substr(0, colon), absl::StripAsciiWhitespace(line.substr(colon + 1)), status);
  }
  if (status.process == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a status of ", text.size(), " bytes has no line 'Tgid'"));
  }
  return status;
}

absl::StatusOr<ProcStat> ParseProcStat(absl::string_view text) {
  // The name in parentheses may contain anything, parentheses too.
  const size_t end = text.rfind(") ");
  ProcStat stat;
  uint64_t flags = 0;
  if (end != absl::string_view::npos) {
    const std::vector<absl::string_view> fields = Words(text.substr(end + 2));
    if (fields.size() > kStartTicksField && absl::SimpleAtoi(fields[kFlagsField], &flags) &&
        absl::SimpleAtoi(fields[kStartTicksField], &stat.start_ticks)) {
      stat.kernel_thread = (flags & kKernelThread) != 0;
      return stat;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("no start time in '", text.substr(0, 80), "'"));
}

}  // namespace flightrec::host
