// Names of users from a passwd file. No service is asked: users of a directory on the network have
// their number for a name.
//
// A snapshot; const methods are thread-safe.
#ifndef SERVICES_TRACER_HOST_USER_NAMES_H_
#define SERVICES_TRACER_HOST_USER_NAMES_H_

#include <sys/types.h>

#include <string>

#include "absl/container/flat_hash_map.h"

namespace flightrec::host {

class UserNames {
 public:
  explicit UserNames(const std::string& path = "/etc/passwd");

  // "root", or "1000".
  std::string Find(uid_t uid) const;

 private:
  absl::flat_hash_map<uid_t, std::string> names_;
};

}  // namespace flightrec::host

#endif  // SERVICES_TRACER_HOST_USER_NAMES_H_
