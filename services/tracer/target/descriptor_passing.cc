#include "services/tracer/target/descriptor_passing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"

namespace flightrec::target {
namespace {

// Since Linux 5.6; not in older <sys/syscall.h>.
constexpr long kPidfdGetfd = 438;
// Longer ones are cut, alike.
constexpr size_t kMaxFileName = 4096;

constexpr uint64_t kMailboxMagic = 0x786F42644652461B;

// What recvmsg needs, in the process's memory at `scratch`.
struct Mailbox {
  uint64_t magic = kMailboxMagic;
  std::array<int32_t, 2> ends = {-1, -1};
  msghdr message = {};
  iovec text = {};
  uint64_t byte = 0;
  alignas(cmsghdr) std::array<uint8_t, CMSG_SPACE(sizeof(int32_t))> control = {};
};
static_assert(sizeof(Mailbox) <= kPassScratchBytes);

absl::Status Errno(const char* what, pid_t pid) {
  return absl::FailedPreconditionError(
      absl::StrCat(what, " process ", pid, ": ", strerror(errno),
                   "; Linux 5.6 or newer is needed, and CAP_SYS_PTRACE"));
}

// Takes one end of the pair out of the process and sends `file` through it.
absl::Status Send(pid_t pid, int32_t end, int file) {
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (process < 0) return Errno("cannot open", pid);
  absl::Cleanup close_process = [process] { close(process); };
  const int door = static_cast<int>(syscall(kPidfdGetfd, process, end, 0));
  if (door < 0) return Errno("cannot take a descriptor of", pid);
  absl::Cleanup close_door = [door] { close(door); };
  Mailbox box;
  box.text = {&box.byte, 1};
  box.message.msg_iov = &box.text;
  box.message.msg_iovlen = 1;
  box.message.msg_control = box.control.data();
  box.message.msg_controllen = box.control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&box.message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int32_t));
  memcpy(CMSG_DATA(header), &file, sizeof(file));
  if (sendmsg(door, &box.message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
    return Errno("cannot send a descriptor to", pid);
  return absl::OkStatus();
}

absl::Status WriteBox(inject::RemoteProcess& process, uint64_t scratch, const Mailbox& box) {
  return process.Write(scratch,
                       absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(&box), sizeof(box)));
}

absl::Status ReadBox(inject::RemoteProcess& process, uint64_t scratch, Mailbox& box) {
  return process.Read(scratch, absl::MakeSpan(reinterpret_cast<uint8_t*>(&box), sizeof(box)));
}

absl::StatusOr<uint64_t> Receive(inject::RemoteProcess& process, uint64_t scratch, Mailbox box) {
  box.text = {reinterpret_cast<void*>(scratch + offsetof(Mailbox, byte)), 1};
  box.message.msg_iov = reinterpret_cast<iovec*>(scratch + offsetof(Mailbox, text));
  box.message.msg_iovlen = 1;
  box.message.msg_control = reinterpret_cast<void*>(scratch + offsetof(Mailbox, control));
  box.message.msg_controllen = box.control.size();
  absl::Status status = WriteBox(process, scratch, box);
  if (status.ok()) {
    status =
        process
            .SystemCall("receiving the lane file", SYS_recvmsg,
                        {static_cast<uint64_t>(box.ends[1]), scratch + offsetof(Mailbox, message),
                         MSG_CMSG_CLOEXEC | MSG_DONTWAIT})
            .status();
  }
  if (status.ok()) status = ReadBox(process, scratch, box);
  if (!status.ok()) return status;
  cmsghdr header;
  memcpy(&header, box.control.data(), sizeof(header));
  if (header.cmsg_level != SOL_SOCKET || header.cmsg_type != SCM_RIGHTS ||
      header.cmsg_len != CMSG_LEN(sizeof(int32_t))) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "process ", process.pid(), " has no room for another open file; raise its RLIMIT_NOFILE"));
  }
  int32_t file;
  memcpy(&file, box.control.data() + CMSG_LEN(0), sizeof(file));
  return static_cast<uint64_t>(file);
}

// OK too if it is not there any more, or another file by now: a program that closes all of them
// may use the number again.
absl::Status CloseIf(inject::RemoteProcess& process, int64_t descriptor, const std::string& file) {
  if (descriptor < 0 || file.empty() || FileBehind(process.pid(), descriptor) != file)
    return absl::OkStatus();
  return process.SystemCall("closing a descriptor", SYS_close, {static_cast<uint64_t>(descriptor)})
      .status();
}

// An end of a pair as PassDescriptor makes it.
bool IsOurSocket(pid_t pid, int32_t end) {
  if (end < 0 || !absl::StartsWith(FileBehind(pid, end), "socket:")) return false;
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (process < 0) return false;
  absl::Cleanup close_process = [process] { close(process); };
  const int taken = static_cast<int>(syscall(kPidfdGetfd, process, end, 0));
  if (taken < 0) return false;
  absl::Cleanup close_taken = [taken] { close(taken); };
  int domain = 0, type = 0;
  socklen_t size = sizeof(domain);
  sockaddr_storage peer = {};
  socklen_t peer_size = sizeof(peer);
  return getsockopt(taken, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
         getsockopt(taken, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM &&
         getpeername(taken, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0 &&
         peer_size == sizeof(sa_family_t);
}

}  // namespace

std::string FileBehind(pid_t pid, int64_t descriptor) {
  std::array<char, kMaxFileName> name;
  const ssize_t length =
      readlink(absl::StrCat("/proc/", pid, "/fd/", descriptor).c_str(), name.data(), name.size());
  return length < 0 ? "" : std::string(name.data(), static_cast<size_t>(length));
}

absl::Status CloseLeftDescriptors(inject::RemoteProcess& process, uint64_t scratch,
                                  absl::string_view name) {
  std::vector<int32_t> left;
  Mailbox box;
  if (scratch != 0 && ReadBox(process, scratch, box).ok() && box.magic == kMailboxMagic) {
    for (const int32_t end : box.ends) {
      if (IsOurSocket(process.pid(), end)) left.push_back(end);
    }
  }
  std::error_code error;
  std::filesystem::directory_iterator files(absl::StrCat("/proc/", process.pid(), "/fd"), error);
  for (; !error && files != std::filesystem::directory_iterator(); files.increment(error)) {
    int32_t number = 0;
    if (!absl::SimpleAtoi(files->path().filename().string(), &number)) continue;
    const std::string file = FileBehind(process.pid(), number);
    if (absl::EndsWith(absl::StripSuffix(file, " (deleted)"), name)) left.push_back(number);
  }
  absl::Status status;
  for (const int32_t end : left) {
    const absl::Status closed =
        process.SystemCall("closing a descriptor", SYS_close, {static_cast<uint64_t>(end)})
            .status();
    if (status.ok()) status = closed;
  }
  return status;
}

absl::StatusOr<PassedDescriptor> PassDescriptor(inject::RemoteProcess& process, int file,
                                                uint64_t scratch) {
  Mailbox box;
  absl::Status status = WriteBox(process, scratch, box);
  if (status.ok()) {
    status =
        process
            .SystemCall("making a pair of sockets", SYS_socketpair,
                        {AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, scratch + offsetof(Mailbox, ends)})
            .status();
  }
  // Also after an error: the call may have been made.
  const absl::Status read = ReadBox(process, scratch, box);
  if (status.ok()) status = read;
  std::array<std::string, 2> sockets;
  for (size_t i = 0; i < sockets.size() && read.ok(); ++i)
    sockets[i] = FileBehind(process.pid(), box.ends[i]);
  if (status.ok()) status = Send(process.pid(), box.ends[0], file);
  PassedDescriptor passed;
  if (status.ok()) {
    const absl::StatusOr<uint64_t> received = Receive(process, scratch, box);
    status = received.status();
    if (received.ok()) {
      passed = {*received, FileBehind(process.pid(), static_cast<int64_t>(*received))};
    }
  }
  for (size_t i = 0; i < sockets.size(); ++i) {
    const absl::Status closed = CloseIf(process, box.ends[i], sockets[i]);
    if (status.ok()) status = closed;
    // Who finds the box later must not close what the program has opened meanwhile.
    box.ends[i] = -1;
    WriteBox(process, scratch, box).IgnoreError();
  }
  if (status.ok()) return passed;
  // Its error is the first one's.
  ClosePassed(process, passed).IgnoreError();
  return status;
}

absl::Status ClosePassed(inject::RemoteProcess& process, const PassedDescriptor& passed) {
  return CloseIf(process, static_cast<int64_t>(passed.number), passed.file);
}

}  // namespace flightrec::target
