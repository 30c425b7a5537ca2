// Page tokens: opaque to clients, bound to the list they came from.
//
// Thread-safe: pure functions. Not a secret and not signed: a token only says where in a list of
// the caller's own tenant a page begins.
#ifndef SERVICES_BACKEND_PAGE_TOKEN_H_
#define SERVICES_BACKEND_PAGE_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flightrec::backend {

// `list` says which list this is, filter included. An empty cursor (the last page) has an empty
// token.
std::string EncodePageToken(absl::string_view list, absl::string_view cursor);

// The cursor; empty for an empty token. INVALID_ARGUMENT: not one of ours, or of another list.
absl::StatusOr<std::string> DecodePageToken(absl::string_view list, absl::string_view token);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_PAGE_TOKEN_H_
