// Which processes a listing is asked for: words that all have to match.
//
//   nginx                 in the name, command, user, container, image or pod
//   container:web         in one of them; also name, command, user, image, pod
//   pid:1234              this process
//   attachable:true       those that can be hooked, or attachable:false
//
// Case does not matter. A value in this class; Matches is thread-safe.
#ifndef SERVICES_TRACER_HOST_PROCESS_FILTER_H_
#define SERVICES_TRACER_HOST_PROCESS_FILTER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flightrec::host {

inline constexpr size_t kMaxFilterWords = 20;

// What words are compared with.
struct ProcessTexts {
  std::string pid;
  std::string name;
  std::string command;
  std::string user;
  std::string container;  // its name and its id
  std::string image;
  std::string pod;
  bool attachable = false;
};

class ProcessFilter {
 public:
  // INVALID_ARGUMENT names the word and the fields there are.
  static absl::StatusOr<ProcessFilter> Parse(absl::string_view text);

  bool Matches(const ProcessTexts& texts) const;

 private:
  // Field, or empty for all of them, and the text in lower case.
  std::vector<std::pair<std::string, std::string>> words_;
};

}  // namespace flightrec::host

#endif  // SERVICES_TRACER_HOST_PROCESS_FILTER_H_
