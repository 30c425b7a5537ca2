#include "services/tracer/target/hook_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace flightrec::target {
namespace {

constexpr absl::string_view kFirstLine = "flightrec-hooks 1";
constexpr absl::string_view kFirstWord = "flightrec-hooks ";

std::string Hex(const std::vector<uint8_t>& bytes) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

bool ParseHexBytes(absl::string_view text, std::vector<uint8_t>& bytes) {
  if (text.empty() || text.size() % 2 != 0) return false;
  for (const char c : text) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return false;
  }
  const std::string raw = absl::HexStringToBytes(text);
  bytes.assign(raw.begin(), raw.end());
  return true;
}

// False: not a line of a journal.
bool ParseLine(const std::vector<absl::string_view>& words, JournalContent& content) {
  uint64_t address = 0;
  if (words[0] == "process") {
    content.process.boot_id = words.size() == 4 ? std::string(words[3]) : "";
    return words.size() == 4 && absl::SimpleAtoi(words[1], &content.process.pid) &&
           absl::SimpleAtoi(words[2], &content.process.start_ticks);
  }
  if (words[0] == "memory" && words.size() == 3) {
    uint64_t bytes = 0;
    if (!absl::SimpleHexAtoi(words[1], &address) || !absl::SimpleHexAtoi(words[2], &bytes))
      return false;
    content.memory[address] = bytes;
    return true;
  }
  if (words[0] == "agent" && words.size() == 3) {
    return absl::SimpleHexAtoi(words[1], &content.image) &&
           absl::SimpleHexAtoi(words[2], &content.state);
  }
  if (words[0] != "text" || words.size() != 4 || !absl::SimpleHexAtoi(words[1], &address))
    return false;
  JournalText& text = content.text[address];
  text.address = address;
  return ParseHexBytes(words[2], text.original) && ParseHexBytes(words[3], text.present) &&
         text.original.size() == text.present.size();
}

}  // namespace

absl::StatusOr<JournalContent> ParseJournal(absl::string_view text) {
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  // What follows the last end of a line.
  lines.pop_back();
  if (lines.empty() || lines[0].substr(0, kFirstWord.size()) != kFirstWord)
    return absl::DataLossError("not a journal of hooks");
  if (lines[0] != kFirstLine) {
    return absl::UnimplementedError(absl::StrCat("a journal of hooks begins with '", lines[0],
                                                 "', this program knows '", kFirstLine,
                                                 "'; use the tracer that wrote it"));
  }
  JournalContent content;
  for (size_t i = 1; i < lines.size(); ++i) {
    if (!ParseLine(absl::StrSplit(lines[i], ' '), content))
      return absl::DataLossError(absl::StrCat("line ", i + 1, " of a journal: '", lines[i], "'"));
  }
  return content;
}

absl::StatusOr<std::unique_ptr<HookJournal>> HookJournal::Create(
    const std::string& path, const lane::ProcessIdentity& process) {
  const int file =
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", path));
  std::unique_ptr<HookJournal> journal(new HookJournal(path, file));
  const absl::Status written = journal->Append(absl::StrCat(
      kFirstLine, "\nprocess ", process.pid, " ", process.start_ticks, " ", process.boot_id, "\n"));
  if (!written.ok()) return written;
  return journal;
}

HookJournal::~HookJournal() { close(file_); }

absl::Status HookJournal::Append(const std::string& lines) {
  size_t done = 0;
  while (done < lines.size()) {
    const ssize_t count = write(file_, lines.data() + done, lines.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
    done += static_cast<size_t>(count);
  }
  return absl::OkStatus();
}

absl::Status HookJournal::AddMemory(uint64_t address, uint64_t bytes) {
  return Append(absl::StrCat("memory ", absl::Hex(address), " ", absl::Hex(bytes), "\n"));
}

absl::Status HookJournal::SetAgent(uint64_t image, uint64_t state) {
  return Append(absl::StrCat("agent ", absl::Hex(image), " ", absl::Hex(state), "\n"));
}

absl::Status HookJournal::AddText(absl::Span<const JournalText> changes) {
  std::string lines;
  for (const JournalText& change : changes) {
    absl::StrAppend(&lines, "text ", absl::Hex(change.address), " ", Hex(change.original), " ",
                    Hex(change.present), "\n");
  }
  return Append(lines);
}

void HookJournal::Remove() { unlink(path_.c_str()); }

}  // namespace flightrec::target
