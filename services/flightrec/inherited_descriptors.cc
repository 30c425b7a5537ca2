#include "services/flightrec/inherited_descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

namespace flightrec::cli {

std::vector<int> TakeInheritedDescriptors() {
  int placeholder;
  do {
    placeholder = open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (placeholder >= 0 && placeholder <= STDERR_FILENO);
  if (placeholder >= 0) close(placeholder);

  std::vector<int> inherited;
  DIR* const folder = opendir("/proc/self/fd");
  if (folder == nullptr) return inherited;
  while (const dirent* entry = readdir(folder)) {
    const int descriptor = std::atoi(entry->d_name);
    // The folder's own is close-on-exec, as nothing inherited can be.
    const bool open_at_exec =
        descriptor > STDERR_FILENO && (fcntl(descriptor, F_GETFD) & FD_CLOEXEC) == 0;
    if (open_at_exec) inherited.push_back(descriptor);
  }
  closedir(folder);
  return inherited;
}

}  // namespace flightrec::cli
