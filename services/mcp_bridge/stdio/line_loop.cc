#include "services/mcp_bridge/stdio/line_loop.h"

#include <errno.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/mcp_bridge/protocol/session.h"

namespace flightrec::mcp_bridge {
namespace {

bool WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// Collects bytes into lines and hands each to the session.
class LineSplitter {
 public:
  explicit LineSplitter(Session* session) : session_(session) {}

  void Take(absl::string_view bytes) {
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      // One byte beyond the limit is kept, so that the session sees it is too
      // long.
      const size_t room = kMaxMessageBytes + 1 - line_.size();
      absl::StrAppend(&line_, bytes.substr(0, end).substr(0, room));
      if (end == absl::string_view::npos) return;
      bytes.remove_prefix(end + 1);
      EndLine();
    }
  }

  // A last line may lack its end.
  void EndLine() {
    const absl::string_view text = absl::StripAsciiWhitespace(line_);
    if (!text.empty()) session_->Receive(text);
    line_.clear();
  }

 private:
  Session* const session_;
  std::string line_;
};

}  // namespace

absl::Status RunLineLoop(const Catalog& catalog, int in, int out) {
  std::atomic<bool> out_closed{false};
  Session session(&catalog, [out, &out_closed](const std::string& text) {
    if (!WriteAll(out, absl::StrCat(text, "\n"))) out_closed = true;
  });
  LineSplitter splitter(&session);
  char buffer[64 << 10];
  while (!out_closed) {
    const ssize_t n = read(in, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, "cannot read messages");
    if (n == 0) break;
    splitter.Take({buffer, static_cast<size_t>(n)});
  }
  if (!out_closed) splitter.EndLine();
  session.WaitForCalls();
  if (out_closed) return absl::UnavailableError("the client closed our output");
  return absl::OkStatus();
}

}  // namespace flightrec::mcp_bridge
