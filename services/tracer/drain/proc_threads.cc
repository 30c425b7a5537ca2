#include "services/tracer/drain/proc_threads.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace flightrec::drain {

bool ThreadExists(uint32_t pid, uint32_t tid) {
  return access(absl::StrCat("/proc/", pid, "/task/", tid).c_str(), F_OK) == 0;
}

}  // namespace flightrec::drain
