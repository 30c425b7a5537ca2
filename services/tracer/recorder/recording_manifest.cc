#include "services/tracer/recorder/recording_manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace flightrec::tracer {
namespace {

constexpr absl::string_view kFirstLine = "flightrec-recording 1\n";
constexpr absl::string_view kFirstWord = "flightrec-recording ";

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  return text.str();
}

absl::Status CheckFirstLine(const std::string& path, absl::string_view text) {
  if (absl::StartsWith(text, kFirstLine)) return absl::OkStatus();
  if (!absl::StartsWith(text, kFirstWord))
    return absl::DataLossError(absl::StrCat(path, " is not the manifest of a recording"));
  return absl::UnimplementedError(absl::StrCat(
      path, " begins with '", text.substr(0, text.find('\n')),
      "', this program knows version 1; use the tracer that wrote it, or a newer one"));
}

// The next whole item of `text`, which is moved behind it. False: there is none.
bool NextItem(absl::string_view& text, ingest::v1::Item& item) {
  uint32_t length = 0;
  if (text.size() < sizeof(length)) return false;
  memcpy(&length, text.data(), sizeof(length));
  if (text.size() - sizeof(length) < length) return false;
  if (!item.ParseFromArray(text.data() + sizeof(length), static_cast<int>(length))) return false;
  text.remove_prefix(sizeof(length) + length);
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecordingManifest>> RecordingManifest::Create(
    const std::string& path) {
  const int file =
      open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", path));
  std::unique_ptr<RecordingManifest> manifest(new RecordingManifest(path, file, 0));
  const absl::Status written = manifest->Append(std::string(kFirstLine));
  if (!written.ok()) return written;
  return manifest;
}

absl::StatusOr<std::unique_ptr<RecordingManifest>> RecordingManifest::Continue(
    const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  absl::string_view rest = *text;
  if (absl::Status first = CheckFirstLine(path, rest); !first.ok()) return first;
  rest.remove_prefix(kFirstLine.size());
  ingest::v1::Item item;
  while (NextItem(rest, item)) {
  }
  const int file = open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
  return std::unique_ptr<RecordingManifest>(
      new RecordingManifest(path, file, text->size() - rest.size()));
}

absl::StatusOr<LeftRecording> RecordingManifest::Read(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  absl::string_view rest = *text;
  if (absl::Status first = CheckFirstLine(path, rest); !first.ok()) return first;
  rest.remove_prefix(kFirstLine.size());
  LeftRecording left;
  ingest::v1::Item item;
  while (NextItem(rest, item)) {
    if (item.has_recording()) left.recording = item.recording();
    if (item.has_process()) left.process = item.process();
    left.functions.insert(left.functions.end(), item.functions().functions().begin(),
                          item.functions().functions().end());
  }
  if (left.recording.name().empty() || left.process.name().empty())
    return absl::DataLossError(absl::StrCat(path, " names no recording"));
  return left;
}

RecordingManifest::~RecordingManifest() { close(file_); }

absl::Status RecordingManifest::Append(const std::string& bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        pwrite(file_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(size_ + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0)
      return absl::ErrnoToStatus(count < 0 ? errno : ENOSPC, absl::StrCat("cannot write ", path_));
    done += static_cast<size_t>(count);
  }
  size_ += bytes.size();
  return absl::OkStatus();
}

absl::Status RecordingManifest::Add(const ingest::v1::Item& item) {
  // The functions' indexes are their places: nothing may come behind a gap.
  if (broken_)
    return absl::FailedPreconditionError(absl::StrCat(path_, " could not be written before"));
  const std::string content = item.SerializeAsString();
  const auto length = static_cast<uint32_t>(content.size());
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof(length));
  bytes += content;
  const absl::Status status = Append(bytes);
  broken_ = !status.ok();
  return status;
}

void RecordingManifest::Remove() { unlink(path_.c_str()); }

}  // namespace flightrec::tracer
