// Bearer tokens and the roles they carry. One token a line:
//
//   TOKEN ROLE[,ROLE...] [TENANT]
//
// Roles: read, write (ingest), control (launch, attach, probes), admin (all).
// Empty lines and lines that start with '#' are skipped. Values, no threads.
// Does not decide who may call what: see authenticator.h.
#ifndef FLIGHTREC_COMMON_RPC_TOKEN_FILE_H_
#define FLIGHTREC_COMMON_RPC_TOKEN_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flightrec::rpc {

enum class Role : uint8_t { kRead = 1, kWrite = 2, kControl = 4, kAdmin = 8 };

class RoleSet {
 public:
  constexpr RoleSet() = default;
  constexpr RoleSet(std::initializer_list<Role> roles) {
    for (Role role : roles) Add(role);
  }
  constexpr void Add(Role role) { bits_ |= static_cast<uint8_t>(role); }
  // Admin has every role.
  constexpr bool Has(Role role) const {
    return (bits_ & (static_cast<uint8_t>(role) | static_cast<uint8_t>(Role::kAdmin))) != 0;
  }
  friend constexpr bool operator==(RoleSet, RoleSet) = default;

 private:
  uint8_t bits_ = 0;
};

absl::string_view RoleName(Role role);

struct TokenEntry {
  std::string token{};
  RoleSet roles{};
  // Prefix of every key in the store; empty: the default tenant.
  std::string tenant{};
};

// A shorter token is refused: it can be guessed.
inline constexpr size_t kMinTokenChars = 16;
inline constexpr size_t kMaxTokens = 1024;

// `source` names the file in errors. INVALID_ARGUMENT names the line, never
// the token.
absl::StatusOr<std::vector<TokenEntry>> ParseTokens(absl::string_view text,
                                                    absl::string_view source);

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_TOKEN_FILE_H_
