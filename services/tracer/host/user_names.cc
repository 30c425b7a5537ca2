#include "services/tracer/host/user_names.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/tracer/host/proc_directory.h"

namespace flightrec::host {

UserNames::UserNames(const std::string& path) {
  const std::string text = ReadTextFile(path).value_or("");
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    // name:password:uid:...
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ':');
    uid_t uid = 0;
    if (fields.size() < 3 || !absl::SimpleAtoi(fields[2], &uid)) continue;
    // The first of several names is the one that others show too.
    names_.try_emplace(uid, std::string(fields[0]));
  }
}

std::string UserNames::Find(uid_t uid) const {
  const auto found = names_.find(uid);
  return found == names_.end() ? absl::StrCat(uid) : found->second;
}

}  // namespace flightrec::host
