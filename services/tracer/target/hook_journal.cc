#include "services/tracer/target/hook_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace flightrec::target {
namespace {

constexpr absl::string_view kFirstWord = "flightrec-hooks ";
constexpr absl::string_view kFirstLine = "flightrec-hooks 2\n";
constexpr absl::string_view kPhase = "phase ";
constexpr absl::string_view kHooked = "hooked";
constexpr absl::string_view kLeaves = "leaves";
static_assert(kHooked.size() == kLeaves.size());
// Much more than the most hooks take.
constexpr uint64_t kMaxJournalBytes = uint64_t{256} << 20;

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

using Words = std::vector<absl::string_view>;

bool ParseText(const Words& words, JournalContent& content) {
  uint64_t address = 0;
  if (words.size() != 4 || !absl::SimpleHexAtoi(words[1], &address)) return false;
  JournalPlace& place = content.text[address];
  std::vector<uint8_t> original, present;
  if (!ParseHexBytes(words[2], original) || !ParseHexBytes(words[3], present)) return false;
  if (original.size() != present.size()) return false;
  // A library that was loaded where another one was has other bytes there.
  if (place.original != original) place = {original, {}, false};
  place.changed.push_back(std::move(present));
  place.lookup = words[0] == "lookup";
  return true;
}

bool ParseMemory(const Words& words, JournalContent& content) {
  uint64_t address = 0;
  JournalMemory memory;
  if (words.size() != 3 || !absl::SimpleHexAtoi(words[1], &address) ||
      !absl::SimpleHexAtoi(words[2], &memory.bytes))
    return false;
  if (words[0] == "code") memory.kind = MemoryKind::kCode;
  if (words[0] == "data") memory.kind = MemoryKind::kData;
  memory.mapped = words[0] == "memory";
  content.memory[address] = memory;
  return true;
}

bool ParseAgent(const Words& words, uint32_t version, JournalContent& content) {
  if (version == 1) {
    content.agent_version = 1;
    return words.size() == 3 && absl::SimpleHexAtoi(words[1], &content.image) &&
           absl::SimpleHexAtoi(words[2], &content.state);
  }
  return words.size() == 5 && absl::SimpleAtoi(words[1], &content.agent_version) &&
         absl::SimpleHexAtoi(words[2], &content.image) &&
         absl::SimpleHexAtoi(words[3], &content.state) &&
         absl::SimpleHexAtoi(words[4], &content.stub_return);
}

bool ParseProcess(const Words& words, JournalContent& content) {
  content.process.boot_id = words.size() == 4 ? std::string(words[3]) : "";
  return words.size() == 4 && absl::SimpleAtoi(words[1], &content.process.pid) &&
         absl::SimpleAtoi(words[2], &content.process.start_ticks);
}

// False: not a line of a journal.
bool ParseLine(const Words& words, uint32_t version, JournalContent& content) {
  const absl::string_view what = words[0];
  if (what == "process") return ParseProcess(words, content);
  if (what == "agent") return ParseAgent(words, version, content);
  if (what == "text") return ParseText(words, content);
  if (version == 1) return what == "memory" && ParseMemory(words, content);
  if (what == "lookup") return ParseText(words, content);
  if (what == "code" || what == "data") return ParseMemory(words, content);
  if (what == "program") return words.size() == 2 && absl::SimpleHexAtoi(words[1], &content.stack);
  if (what == "phase") {
    content.leaves = words.size() == 2 && words[1] == kLeaves;
    return content.leaves || (words.size() == 2 && words[1] == kHooked);
  }
  uint64_t address = 0;
  if ((what != "mapped" && what != "unused") || words.size() != 2 ||
      !absl::SimpleHexAtoi(words[1], &address))
    return false;
  const auto memory = content.memory.find(address);
  if (memory == content.memory.end()) return false;
  if (what == "unused") {
    content.memory.erase(memory);
    return true;
  }
  memory->second.mapped = true;
  if (content.lanes == 0) content.lanes = address;
  return true;
}

}  // namespace

absl::StatusOr<JournalContent> ParseJournal(absl::string_view text) {
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  // What follows the last end of a line.
  lines.pop_back();
  if (lines.empty() || lines[0].substr(0, kFirstWord.size()) != kFirstWord)
    return absl::DataLossError("not a journal of hooks");
  uint32_t version = 0;
  if (!absl::SimpleAtoi(lines[0].substr(kFirstWord.size()), &version) || version < 1 ||
      version > 2) {
    return absl::UnimplementedError(absl::StrCat(
        "a journal of hooks begins with '", lines[0],
        "', this program knows versions 1 and 2; use the tracer that wrote it, or a newer one"));
  }
  JournalContent content;
  content.frames = version > 1;
  for (size_t i = 1; i < lines.size(); ++i) {
    if (!ParseLine(absl::StrSplit(lines[i], ' '), version, content))
      return absl::DataLossError(absl::StrCat("line ", i + 1, " of a journal: '", lines[i], "'"));
  }
  // The first that are written: without them nothing was done.
  if (content.process.pid == 0 || (version > 1 && content.stack == 0))
    return absl::DataLossError("a journal of hooks that names no process, or not its program");
  return content;
}

absl::StatusOr<JournalContent> ReadJournal(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
  absl::Cleanup close_file = [file] { close(file); };
  std::string text;
  char part[65536];
  for (ssize_t count; (count = read(file, part, sizeof(part))) != 0;) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
    text.append(part, static_cast<size_t>(count));
    if (text.size() > kMaxJournalBytes)
      return absl::DataLossError(absl::StrCat(path, " is too large for a journal of hooks"));
  }
  absl::StatusOr<JournalContent> content = ParseJournal(text);
  if (content.ok()) return content;
  return absl::Status(content.status().code(),
                      absl::StrCat(path, ": ", content.status().message()));
}

absl::StatusOr<std::unique_ptr<HookJournal>> HookJournal::Create(
    const std::string& path, const lane::ProcessIdentity& process, uint64_t stack) {
  const int file =
      open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", path));
  std::unique_ptr<HookJournal> journal(new HookJournal(path, file, 0));
  const absl::Status written = journal->Append(
      absl::StrCat(kFirstLine, kPhase, kHooked, "\nprocess ", process.pid, " ", process.start_ticks,
                   " ", process.boot_id, "\nprogram ", absl::Hex(stack), "\n"));
  if (!written.ok()) return written;
  return journal;
}

absl::StatusOr<std::unique_ptr<HookJournal>> HookJournal::Continue(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  const off_t size = lseek(file, 0, SEEK_END);
  std::unique_ptr<HookJournal> journal(
      new HookJournal(path, file, static_cast<uint64_t>(std::max<off_t>(size, 0))));
  char last = '\n';
  while (journal->size_ > 0 && pread(file, &last, 1, static_cast<off_t>(journal->size_ - 1)) == 1 &&
         last != '\n')
    --journal->size_;
  return journal;
}

HookJournal::~HookJournal() { close(file_); }

absl::Status HookJournal::Append(const std::string& lines) {
  size_t done = 0;
  while (done < lines.size()) {
    const ssize_t count =
        pwrite(file_, lines.data() + done, lines.size() - done, static_cast<off_t>(size_ + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const absl::Status status =
          absl::ErrnoToStatus(count < 0 ? errno : ENOSPC, absl::StrCat("cannot write ", path_));
      // The next line goes where this one began; a part of it that is left has no end.
      static_cast<void>(ftruncate(file_, static_cast<off_t>(size_)) != 0);
      return status;
    }
    done += static_cast<size_t>(count);
  }
  size_ += lines.size();
  return absl::OkStatus();
}

absl::Status HookJournal::AddMemory(uint64_t address, uint64_t bytes, MemoryKind kind) {
  return Append(absl::StrCat(kind == MemoryKind::kCode ? "code " : "data ", absl::Hex(address), " ",
                             absl::Hex(bytes), "\n"));
}

absl::Status HookJournal::SetMapped(uint64_t address) {
  return Append(absl::StrCat("mapped ", absl::Hex(address), "\n"));
}

absl::Status HookJournal::SetUnused(uint64_t address) {
  return Append(absl::StrCat("unused ", absl::Hex(address), "\n"));
}

absl::Status HookJournal::SetAgent(uint32_t version, uint64_t image, uint64_t state,
                                   uint64_t stub_return) {
  return Append(absl::StrCat("agent ", version, " ", absl::Hex(image), " ", absl::Hex(state), " ",
                             absl::Hex(stub_return), "\n"));
}

absl::Status HookJournal::AddText(absl::Span<const JournalText> changes) {
  std::string lines;
  std::map<uint64_t, std::string> written;
  for (const JournalText& change : changes) {
    if (change.present == change.original) continue;
    std::string line = absl::StrCat(change.lookup ? "lookup " : "text ", absl::Hex(change.address),
                                    " ", Hex(change.original), " ", Hex(change.present), "\n");
    const auto last = last_.find(change.address);
    if (last != last_.end() && last->second == line) continue;
    lines += line;
    written[change.address] = std::move(line);
  }
  const absl::Status status = Append(lines);
  if (!status.ok()) return status;
  for (auto& [address, line] : written) last_[address] = std::move(line);
  return status;
}

absl::Status HookJournal::SetLeaving() {
  const auto place = static_cast<off_t>(kFirstLine.size() + kPhase.size());
  if (pwrite(file_, kLeaves.data(), kLeaves.size(), place) == static_cast<ssize_t>(kLeaves.size()))
    return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
}

void HookJournal::Remove() { unlink(path_.c_str()); }

}  // namespace flightrec::target
