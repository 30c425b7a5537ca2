#include "common/rpc/listen_address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace flightrec::rpc {
namespace {

constexpr int kMaxPort = 65535;

bool IsIpv4(const std::string& host) {
  in_addr unused;
  return inet_pton(AF_INET, host.c_str(), &unused) == 1;
}

bool IsIpv6(const std::string& host) {
  in6_addr unused;
  return inet_pton(AF_INET6, host.c_str(), &unused) == 1;
}

absl::Status Bad(absl::string_view flag, absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "--", flag, "=", text, ": ", why, "; write HOST:PORT with a numeric host, or unix:/PATH"));
}

absl::StatusOr<ListenAddress> ParseUnix(absl::string_view path, absl::string_view text,
                                        absl::string_view flag) {
  absl::ConsumePrefix(&path, "//");
  if (!absl::StartsWith(path, "/")) {
    return Bad(flag, text, "the socket path is not absolute");
  }
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Bad(flag, text,
               absl::StrCat("the socket path has ", path.size(), " bytes, the kernel takes ",
                            sizeof(sockaddr_un::sun_path) - 1));
  }
  return ListenAddress{.unix_path = std::string(path), .host = {}, .port = 0};
}

}  // namespace

bool ListenAddress::is_local() const {
  return is_unix() || absl::StartsWith(host, "127.") || host == "::1";
}

std::string ListenAddress::ToString() const {
  if (is_unix()) return absl::StrCat("unix:", unix_path);
  if (IsIpv6(host)) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text, absl::string_view flag) {
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "unix:")) return ParseUnix(rest, text, flag);
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Bad(flag, text, "no port");
  ListenAddress address;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &address.port) || address.port < 0 ||
      address.port > kMaxPort) {
    return Bad(flag, text, absl::StrCat("the port is not 0..", kMaxPort));
  }
  absl::string_view host = text.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  address.host = host == "localhost" ? "127.0.0.1" : std::string(host);
  if (!IsIpv4(address.host) && !IsIpv6(address.host)) {
    return Bad(flag, text, absl::StrCat("'", host, "' is not a numeric address"));
  }
  return address;
}

}  // namespace flightrec::rpc
