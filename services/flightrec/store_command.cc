#include "services/flightrec/store_command.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "common/chunk/crc32c.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"

namespace flightrec::cli {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kCallDeadline = absl::Seconds(30);
// Name, bytes and checksum of each file, separated by tabs.
constexpr char kFileList[] = "backup.tsv";
constexpr size_t kCopyBytes = size_t{1} << 20;
constexpr int kDefaultRows = 40;
constexpr size_t kMaxPage = 1000;

struct BackedUpFile {
  std::string name;
  uint64_t bytes = 0;
  uint32_t checksum = 0;
};

absl::Status FileError(absl::string_view what, const std::string& path) {
  return absl::UnavailableError(absl::StrCat(what, " ", path, ": ", std::strerror(errno)));
}

// "a/b/" is "a/b": what is made beside it is not made in it.
std::string WithoutSlash(std::string directory) {
  while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
  return directory;
}

absl::Status SyncDirectory(const std::string& directory) {
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = fd >= 0 && fsync(fd) == 0;
  const absl::Status status = synced ? absl::OkStatus() : FileError("cannot sync", directory);
  if (fd >= 0) close(fd);
  return status;
}

// Gives `part`, whose files are on disk, the name `directory`; on disk, too, when it returns ok. An
// empty directory of that name is replaced.
absl::Status Publish(const std::string& part, const std::string& directory) {
  if (absl::Status synced = SyncDirectory(part); !synced.ok()) return synced;
  if (rename(part.c_str(), directory.c_str()) != 0) return FileError("cannot rename", part);
  const fs::path parent = fs::path(directory).parent_path();
  return SyncDirectory(parent.empty() ? "." : parent.string());
}

absl::Status RequireAbsentOrEmpty(const std::string& directory) {
  std::error_code error;
  if (!fs::exists(directory, error) || fs::is_empty(directory, error)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(directory, " is there and not empty: name a new directory"));
}

// Writes files one after the other, each synced when it is closed.
class FileWriter {
 public:
  ~FileWriter() {
    if (fd_ >= 0) close(fd_);
  }
  absl::Status Open(const std::string& path) {
    path_ = path;
    file_ = BackedUpFile();
    fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd_ < 0 ? FileError("cannot make", path) : absl::OkStatus();
  }
  bool is_open() const { return fd_ >= 0; }
  absl::Status Append(absl::string_view data) {
    file_.bytes += data.size();
    file_.checksum = chunk::ExtendCrc32c(file_.checksum, data);
    while (!data.empty()) {
      const ssize_t written = write(fd_, data.data(), data.size());
      if (written < 0 && errno != EINTR) return FileError("cannot write", path_);
      if (written > 0) data.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }
  // What was written since Open.
  absl::StatusOr<BackedUpFile> Close() {
    const bool synced = fsync(fd_) == 0;
    const bool closed = close(fd_) == 0;
    fd_ = -1;
    if (!synced || !closed) return FileError("cannot write", path_);
    return file_;
  }

 private:
  std::string path_;
  int fd_ = -1;
  BackedUpFile file_;
};

absl::Status Compare(const BackedUpFile& expected, const BackedUpFile& found) {
  if (expected.bytes == found.bytes && expected.checksum == found.checksum) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat("backup: ", expected.name, " has ", found.bytes,
                                          " bytes with checksum ", found.checksum, ", not ",
                                          expected.bytes, " with ", expected.checksum));
}

// Takes the frames of a backup and makes files of them.
class BackupReceiver {
 public:
  explicit BackupReceiver(std::string directory) : directory_(std::move(directory)) {}

  absl::Status Take(const admin::v1::BackUpStoreResponse& response) {
    if (response.has_data()) {
      absl::Status opened = writer_.is_open() ? absl::OkStatus() : writer_.Open(Part());
      return opened.ok() ? writer_.Append(response.data().data()) : opened;
    }
    if (response.has_file_end()) return EndFile(response.file_end());
    complete_ = response.has_end() && response.end().files() == files_.size();
    return absl::OkStatus();
  }

  // Writes the list.
  absl::Status Finish() {
    if (!complete_)
      return absl::DataLossError("backup: the answer was cut short; make another one");
    std::string list;
    for (const BackedUpFile& file : files_) {
      absl::StrAppend(&list, file.name, "\t", file.bytes, "\t", file.checksum, "\n");
    }
    absl::Status status = writer_.Open(absl::StrCat(directory_, "/", kFileList));
    if (status.ok()) status = writer_.Append(list);
    return status.ok() ? writer_.Close().status() : status;
  }

  uint64_t bytes() const { return bytes_; }
  uint64_t files() const { return files_.size(); }

 private:
  std::string Part() const { return absl::StrCat(directory_, "/receiving.part"); }

  absl::Status EndFile(const admin::v1::FileEnd& end) {
    if (end.name().empty() || absl::StrContains(end.name(), "/")) {
      return absl::DataLossError(absl::StrCat("backup: '", end.name(), "' is no file name"));
    }
    // A file without bytes has no data.
    absl::Status opened = writer_.is_open() ? absl::OkStatus() : writer_.Open(Part());
    if (!opened.ok()) return opened;
    absl::StatusOr<BackedUpFile> file = writer_.Close();
    if (!file.ok()) return file.status();
    file->name = end.name();
    absl::Status same = Compare({end.name(), end.bytes(), end.checksum()}, *file);
    if (!same.ok()) return same;
    if (rename(Part().c_str(), absl::StrCat(directory_, "/", end.name()).c_str()) != 0) {
      return FileError("cannot rename", Part());
    }
    bytes_ += file->bytes;
    files_.push_back(*std::move(file));
    return absl::OkStatus();
  }

  const std::string directory_;
  FileWriter writer_;
  std::vector<BackedUpFile> files_;
  uint64_t bytes_ = 0;
  bool complete_ = false;
};

absl::StatusOr<std::vector<BackedUpFile>> ReadFileList(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/", kFileList);
  std::ifstream stream(path);
  if (!stream) {
    return absl::NotFoundError(
        absl::StrCat(directory, " is no complete backup: it has no ", kFileList));
  }
  std::vector<BackedUpFile> files;
  std::string line;
  while (std::getline(stream, line)) {
    const std::vector<std::string> cells = absl::StrSplit(line, '\t');
    BackedUpFile file;
    if (cells.size() != 3 || cells[0].empty() || absl::StrContains(cells[0], "/") ||
        !absl::SimpleAtoi(cells[1], &file.bytes) || !absl::SimpleAtoi(cells[2], &file.checksum)) {
      return absl::DataLossError(absl::StrCat(path, ": '", line, "' names no file"));
    }
    file.name = cells[0];
    files.push_back(std::move(file));
  }
  return files;
}

absl::Status CopyFile(const std::string& from, const std::string& to,
                      const BackedUpFile& expected) {
  std::ifstream stream(absl::StrCat(from, "/", expected.name), std::ios::binary);
  if (!stream) return FileError("cannot read", absl::StrCat(from, "/", expected.name));
  FileWriter writer;
  absl::Status status = writer.Open(absl::StrCat(to, "/", expected.name));
  std::string data(kCopyBytes, '\0');
  while (status.ok()) {
    stream.read(data.data(), static_cast<std::streamsize>(data.size()));
    if (stream.gcount() == 0) break;
    status = writer.Append(absl::string_view(data.data(), static_cast<size_t>(stream.gcount())));
  }
  if (!status.ok()) return status;
  absl::StatusOr<BackedUpFile> copied = writer.Close();
  if (!copied.ok()) return copied.status();
  return Compare(expected, *copied);
}

View FilesView(const std::string& directory, uint64_t files, uint64_t bytes) {
  View view;
  view.table.columns = {{"directory"}, {"files"}, {"bytes"}};
  view.table.rows.push_back({directory, files, bytes});
  return view;
}

std::string NameOf(const std::string& recording) {
  return absl::StartsWith(recording, "recordings/") ? recording
                                                    : absl::StrCat("recordings/", recording);
}

}  // namespace

absl::StatusOr<View> CheckStore(AdminStub& admin, uint64_t& damages) {
  grpc::ClientContext context;
  const auto stream = admin.CheckStore(&context, admin::v1::CheckStoreRequest());
  View view;
  view.table.columns = {{"recording"}, {"position"}, {"family"}, {"problem"}, {"tenant"}};
  admin::v1::CheckStoreResponse response;
  bool complete = false;
  while (stream->Read(&response)) {
    if (response.has_damage()) {
      const admin::v1::Damage& damage = response.damage();
      view.table.rows.push_back({damage.recording(), uint64_t{damage.position()}, damage.family(),
                                 damage.problem(), damage.tenant()});
    } else if (response.has_end()) {
      complete = true;
      const admin::v1::CheckEnd& end = response.end();
      damages = end.damages();
      view.heading =
          absl::StrCat(GroupDigits(end.recordings()), " recordings, ", GroupDigits(end.chunks()),
                       " chunks, ", GroupDigits(end.chunk_bytes()), " bytes checked, ",
                       GroupDigits(end.damages()), " damages\n");
    }
  }
  absl::Status ended = rpc::FromGrpcStatus(stream->Finish());
  if (!ended.ok()) return ended;
  if (!complete) return absl::DataLossError("fsck: the answer was cut short; try again");
  return view;
}

absl::StatusOr<View> BackUpStore(AdminStub& admin, const std::string& name) {
  const std::string directory = WithoutSlash(name);
  if (absl::Status status = RequireAbsentOrEmpty(directory); !status.ok()) return status;
  const std::string part = absl::StrCat(directory, ".part");
  std::error_code error;
  fs::remove_all(part, error);
  if (!fs::create_directories(part, error)) {
    return absl::UnavailableError(absl::StrCat("cannot make ", part, ": ", error.message()));
  }
  fs::permissions(part, fs::perms::owner_all, error);
  grpc::ClientContext context;
  const auto stream = admin.BackUpStore(&context, admin::v1::BackUpStoreRequest());
  BackupReceiver receiver(part);
  admin::v1::BackUpStoreResponse response;
  absl::Status taken;
  while (taken.ok() && stream->Read(&response)) taken = receiver.Take(response);
  if (!taken.ok()) context.TryCancel();
  absl::Status ended = rpc::FromGrpcStatus(stream->Finish());
  if (taken.ok()) taken = ended;
  if (taken.ok()) taken = receiver.Finish();
  if (taken.ok()) taken = Publish(part, directory);
  if (!taken.ok()) {
    fs::remove_all(part, error);
    return taken;
  }
  return FilesView(directory, receiver.files(), receiver.bytes());
}

absl::StatusOr<View> RestoreStore(const std::string& directory, const std::string& name) {
  const std::string store = WithoutSlash(name);
  absl::StatusOr<std::vector<BackedUpFile>> files = ReadFileList(directory);
  if (!files.ok()) return files.status();
  if (absl::Status status = RequireAbsentOrEmpty(store); !status.ok()) return status;
  const std::string part = absl::StrCat(store, ".part");
  std::error_code error;
  fs::remove_all(part, error);
  if (!fs::create_directories(part, error)) {
    return absl::UnavailableError(absl::StrCat("cannot make ", part, ": ", error.message()));
  }
  fs::permissions(part, fs::perms::owner_all, error);
  uint64_t bytes = 0;
  absl::Status copied;
  for (const BackedUpFile& file : *files) {
    copied = CopyFile(directory, part, file);
    if (!copied.ok()) break;
    bytes += file.bytes;
  }
  if (copied.ok()) copied = Publish(part, store);
  if (!copied.ok()) {
    fs::remove_all(part, error);
    return copied;
  }
  return FilesView(store, files->size(), bytes);
}

absl::StatusOr<View> DeleteRecording(ReadStub& read, const std::string& recording) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kCallDeadline);
  read::v1::DeleteRecordingRequest request;
  request.set_name(NameOf(recording));
  google::protobuf::Empty response;
  absl::Status status = rpc::FromGrpcStatus(read.DeleteRecording(&context, request, &response));
  if (!status.ok()) return status;
  View view;
  view.table.columns = {{"deleted"}};
  view.table.rows.push_back({request.name()});
  return view;
}

absl::StatusOr<View> DeletedRecordings(ReadStub& read, const CommandLine& line) {
  View view;
  view.table.columns = {{"recording"}, {"state"}, {"deleted"}, {"removed_for_good"}, {"command"}};
  const size_t limit = static_cast<size_t>(line.limit > 0 ? line.limit : kDefaultRows);
  const auto time = [](const google::protobuf::Timestamp& timestamp) {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixSeconds(timestamp.seconds()),
                            absl::UTCTimeZone());
  };
  read::v1::ListDeletedRecordingsRequest request;
  read::v1::ListDeletedRecordingsResponse page;
  do {
    request.set_page_size(
        static_cast<int32_t>(std::min<size_t>(kMaxPage, limit - view.table.rows.size())));
    request.set_page_token(page.next_page_token());
    grpc::ClientContext context;
    rpc::SetDeadline(context, kCallDeadline);
    absl::Status status = rpc::FromGrpcStatus(read.ListDeletedRecordings(&context, request, &page));
    if (!status.ok()) return status;
    for (const read::v1::DeletedRecording& deleted : page.recordings()) {
      const trace::v1::Recording& recording = deleted.recording();
      view.table.rows.push_back({std::string(absl::StripPrefix(recording.name(), "recordings/")),
                                 StateWord(recording.state()), time(deleted.delete_time()),
                                 time(deleted.purge_time()),
                                 absl::StrJoin(recording.command(), " ")});
    }
  } while (!page.next_page_token().empty() && view.table.rows.size() < limit);
  if (view.table.rows.empty()) view.footnote = "nothing that can be brought back";
  return view;
}

absl::StatusOr<View> UndeleteRecording(ReadStub& read, const std::string& recording) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kCallDeadline);
  read::v1::UndeleteRecordingRequest request;
  request.set_name(NameOf(recording));
  trace::v1::Recording response;
  absl::Status status = rpc::FromGrpcStatus(read.UndeleteRecording(&context, request, &response));
  if (!status.ok()) return status;
  View view;
  view.table.columns = {{"brought_back"}};
  view.table.rows.push_back({response.name()});
  return view;
}

}  // namespace flightrec::cli
