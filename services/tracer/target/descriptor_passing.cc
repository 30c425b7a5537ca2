#include "services/tracer/target/descriptor_passing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace flightrec::target {
namespace {

// Since Linux 5.6; not in older <sys/syscall.h>.
constexpr long kPidfdGetfd = 438;

// What recvmsg needs, in the process's memory at `scratch`.
struct Mailbox {
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

}  // namespace

absl::StatusOr<uint64_t> PassDescriptor(inject::RemoteProcess& process, int file,
                                        uint64_t scratch) {
  Mailbox box;
  absl::Status status = WriteBox(process, scratch, box);
  if (status.ok()) {
    status = process
                 .SystemCall("making a pair of sockets", SYS_socketpair,
                             {AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, scratch})
                 .status();
  }
  if (!status.ok()) return status;
  absl::StatusOr<uint64_t> passed = absl::InternalError("not tried");
  status = ReadBox(process, scratch, box);
  if (status.ok()) status = Send(process.pid(), box.ends[0], file);
  passed = status.ok() ? Receive(process, scratch, box) : absl::StatusOr<uint64_t>(status);
  for (const int32_t end : box.ends) {
    if (end < 0) continue;
    const absl::Status closed =
        process.SystemCall("closing a socket", SYS_close, {static_cast<uint64_t>(end)}).status();
    if (passed.ok() && !closed.ok()) return closed;
  }
  return passed;
}

}  // namespace flightrec::target
