// Which container a process is in, from the names that container runtimes give to control groups.
//
// Pure functions, thread-safe. Knows docker, containerd (with nerdctl and Kubernetes' CRI), CRI-O,
// podman, and the kubelet's pods; control groups of version 1 and 2, of the systemd and the
// cgroupfs driver. Processes of a runtime that watch a container are not in it.
#ifndef SERVICES_TRACER_HOST_CGROUP_CONTAINER_H_
#define SERVICES_TRACER_HOST_CGROUP_CONTAINER_H_

#include <string>

#include "absl/strings/string_view.h"

namespace flightrec::host {

struct CgroupContainer {
  // "docker", "containerd", "cri-o", "podman"; "kubernetes" where only the kubelet's part of the
  // name is known, "container" where nothing but an id is.
  std::string runtime;
  std::string id;  // 64 hex digits; empty: not in a container
  // Kubernetes' uid of the pod, with hyphens, or podman's id of it.
  std::string pod_uid;
};

// `text`: /proc/PID/cgroup.
CgroupContainer ParseCgroup(absl::string_view text);

}  // namespace flightrec::host

#endif  // SERVICES_TRACER_HOST_CGROUP_CONTAINER_H_
