#include "common/rpc/token_file.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace flightrec::rpc {
namespace {

constexpr Role kRoles[] = {Role::kRead, Role::kWrite, Role::kControl, Role::kAdmin};

std::optional<Role> ParseRole(absl::string_view text) {
  for (Role role : kRoles) {
    if (RoleName(role) == text) return role;
  }
  return std::nullopt;
}

absl::StatusOr<TokenEntry> ParseLine(absl::string_view line) {
  const std::vector<std::string> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  if (words.size() < 2 || words.size() > 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", words.size(), " words; write TOKEN ROLE[,ROLE...] [TENANT]"));
  }
  if (words[0].size() < kMinTokenChars) {
    return absl::InvalidArgumentError(absl::StrCat("the token has ", words[0].size(),
                                                   " characters; use at least ", kMinTokenChars,
                                                   ", for example from: openssl rand -hex 32"));
  }
  TokenEntry entry{.token = words[0], .roles = {}, .tenant = {}};
  for (absl::string_view name : absl::StrSplit(words[1], ',')) {
    const std::optional<Role> role = ParseRole(name);
    if (!role) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown role '", name, "'; roles are read, write, control, admin"));
    }
    entry.roles.Add(*role);
  }
  if (words.size() == 3) entry.tenant = words[2];
  return entry;
}

}  // namespace

absl::string_view RoleName(Role role) {
  switch (role) {
    case Role::kRead:
      return "read";
    case Role::kWrite:
      return "write";
    case Role::kControl:
      return "control";
    case Role::kAdmin:
      return "admin";
  }
  return "unknown";
}

absl::StatusOr<std::vector<TokenEntry>> ParseTokens(absl::string_view text,
                                                    absl::string_view source) {
  std::vector<TokenEntry> entries;
  int line_number = 0;
  for (absl::string_view raw : absl::StrSplit(text, '\n')) {
    ++line_number;
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty() || line.front() == '#') continue;
    absl::StatusOr<TokenEntry> entry = ParseLine(line);
    if (!entry.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(source, " line ", line_number, ": ", entry.status().message()));
    }
    if (entries.size() == kMaxTokens) {
      return absl::InvalidArgumentError(
          absl::StrCat(source, " line ", line_number, ": more than ", kMaxTokens, " tokens"));
    }
    entries.push_back(*std::move(entry));
  }
  if (entries.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(source, " holds no token; write one line: TOKEN ROLE[,ROLE...] [TENANT]"));
  }
  return entries;
}

}  // namespace flightrec::rpc
