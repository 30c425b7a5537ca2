// What container runtimes call their containers, read from the files where they keep it: podman and
// CRI-O (containers/storage), docker, containerd under Kubernetes. No runtime is asked.
//
// A snapshot: make one for each listing. Const methods are thread-safe. Files that cannot be read
// or understood give no names, never an error: names are a convenience.
#ifndef SERVICES_TRACER_HOST_CONTAINER_CATALOG_H_
#define SERVICES_TRACER_HOST_CONTAINER_CATALOG_H_

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "services/tracer/host/cgroup_container.h"

namespace flightrec::host {

struct ContainerNames {
  std::string name;   // as the user gave it; "container" of the pod under Kubernetes
  std::string image;  // "docker.io/library/nginx:1.25"
  std::string pod;    // Kubernetes' name of the pod
  std::string pod_namespace;
};

// Containers of one storage that are looked at.
inline constexpr size_t kMaxStoredContainers = 10000;

class ContainerCatalog {
 public:
  // `root`: where this host's file system begins.
  explicit ContainerCatalog(std::string root = "");

  // Empty where nothing is known.
  ContainerNames Find(const CgroupContainer& container) const;

 private:
  void ReadStorage(const std::string& path);

  const std::string root_;
  // From containers/storage, by id: one file holds them all.
  absl::flat_hash_map<std::string, ContainerNames> stored_;
};

// "6911987d6f79", as runtimes print ids.
std::string ShortId(absl::string_view id);

}  // namespace flightrec::host

#endif  // SERVICES_TRACER_HOST_CONTAINER_CATALOG_H_
