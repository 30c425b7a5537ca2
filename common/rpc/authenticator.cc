#include "common/rpc/authenticator.h"

#include <grpcpp/server_context.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/rpc/control_token.h"

namespace flightrec::rpc {
namespace {

constexpr absl::string_view kAnyTokenPrefixes[] = {"/grpc.health.", "/grpc.reflection.",
                                                   "/grpc.channelz."};

bool AnyTokenWillDo(absl::string_view path) {
  for (absl::string_view prefix : kAnyTokenPrefixes) {
    if (absl::StartsWith(path, prefix)) return true;
  }
  return false;
}

absl::string_view StripScheme(absl::string_view authorization) {
  constexpr absl::string_view kScheme = "bearer ";
  if (absl::StartsWithIgnoreCase(authorization, kScheme)) {
    authorization.remove_prefix(kScheme.size());
  }
  return authorization;
}

}  // namespace

Authenticator::Authenticator(std::vector<TokenEntry> tokens)
    : closed_(!tokens.empty()), tokens_(std::move(tokens)) {}

void Authenticator::RequireRole(absl::string_view path_prefix, Role role) {
  rules_.push_back({std::string(path_prefix), role});
}

void Authenticator::AcceptControlToken(absl::string_view token) {
  tokens_.push_back({std::string(token), RoleSet{Role::kRead, Role::kControl}, ""});
}

const TokenEntry* Authenticator::FindToken(absl::string_view authorization) const {
  const absl::string_view token = StripScheme(authorization);
  const TokenEntry* found = nullptr;
  // Every entry is compared, so the time does not tell which one matched.
  for (const TokenEntry& entry : tokens_) {
    if (TokensEqual(entry.token, token)) found = &entry;
  }
  return found;
}

const Authenticator::Rule* Authenticator::FindRule(absl::string_view path) const {
  const Rule* best = nullptr;
  for (const Rule& rule : rules_) {
    if (absl::StartsWith(path, rule.prefix) &&
        (best == nullptr || rule.prefix.size() > best->prefix.size())) {
      best = &rule;
    }
  }
  return best;
}

absl::Status Authenticator::Check(absl::string_view path, absl::string_view authorization) const {
  const Rule* rule = FindRule(path);
  const Role needed = rule == nullptr ? Role::kRead : rule->role;
  const bool any_token = rule == nullptr && AnyTokenWillDo(path);
  if (!closed_ && needed != Role::kControl) return absl::OkStatus();
  if (authorization.empty()) {
    return absl::UnauthenticatedError(absl::StrCat(
        path, " needs a token; send the header 'authorization: Bearer TOKEN' ",
        needed == Role::kControl ? "with the tracer's control token (its file is named in the log "
                                   "and in endpoints.json)"
                                 : "with a token of the server's --token_file"));
  }
  const TokenEntry* entry = FindToken(authorization);
  if (entry == nullptr) {
    return absl::UnauthenticatedError(
        absl::StrCat(path,
                     ": the token is not known here; is it from another server or an "
                     "earlier start?"));
  }
  if (any_token || entry->roles.Has(needed)) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(path, " needs the role '", RoleName(needed),
                   "', which this token does not have; ask for one that does"));
}

Caller Authenticator::Identify(const grpc::ServerContextBase& context) const {
  const auto& metadata = context.client_metadata();
  const auto header = metadata.find("authorization");
  if (header != metadata.end()) {
    const TokenEntry* entry =
        FindToken(absl::string_view(header->second.data(), header->second.size()));
    if (entry != nullptr) {
      return {.roles = entry->roles, .tenant = entry->tenant, .has_token = true};
    }
  }
  return {.roles = {Role::kRead, Role::kWrite}, .tenant = {}, .has_token = false};
}

}  // namespace flightrec::rpc
