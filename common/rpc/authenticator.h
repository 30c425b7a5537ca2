// Decides whether a call may go on, from its method and its bearer token. One
// decision point for every kind of RPC (sync, callback, streaming, health,
// reflection): the server asks it before a handler runs. Thread-safe once
// built; rules and tokens are added before the server starts.
//
// Without tokens every method is open except those that need Role::kControl:
// controlling a process takes proof even on loopback.
#ifndef FLIGHTREC_COMMON_RPC_AUTHENTICATOR_H_
#define FLIGHTREC_COMMON_RPC_AUTHENTICATOR_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/rpc/token_file.h"

namespace grpc {
class ServerContextBase;
}  // namespace grpc

namespace flightrec::rpc {

struct Caller {
  RoleSet roles{};
  std::string tenant{};
  // False: an open server and no token was sent.
  bool has_token = false;
};

class Authenticator {
 public:
  explicit Authenticator(std::vector<TokenEntry> tokens);

  // Methods whose path ("/package.Service/Method") starts with `path_prefix`
  // need `role`; the longest prefix wins. Without a rule: Role::kRead; health,
  // reflection and channelz: any valid token.
  void RequireRole(absl::string_view path_prefix, Role role);

  // Accepts one more token without closing the methods that are open: the
  // control token of a tracer (control_token.h).
  void AcceptControlToken(absl::string_view token);

  // `authorization` is the header's value, empty when absent.
  // UNAUTHENTICATED: no or unknown token. PERMISSION_DENIED: role missing.
  absl::Status Check(absl::string_view path, absl::string_view authorization) const;

  // Who makes the call; only meaningful inside a handler, after Check passed.
  Caller Identify(const grpc::ServerContextBase& context) const;

 private:
  struct Rule {
    std::string prefix;
    Role role;
  };

  const TokenEntry* FindToken(absl::string_view authorization) const;
  const Rule* FindRule(absl::string_view path) const;

  // True: a --token_file was given, so nothing is open.
  const bool closed_;
  std::vector<TokenEntry> tokens_;
  std::vector<Rule> rules_;
};

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_AUTHENTICATOR_H_
