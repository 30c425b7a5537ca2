#include "services/tracer/host/cgroup_container.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace flightrec::host {
namespace {

constexpr char kId[] = "6911987d6f79f2110a624c2ad8b62f685e78fa18e3d0d3be63a12d55ebc6a8c0";
constexpr char kPod[] = "a1b2c3d4-0011-2233-4455-66778899aabb";
constexpr char kPodmanPod[] = "0f0e0d0c0b0a09080706050403020100ffeeddccbbaa99887766554433221100";

struct Case {
  const char* what;
  // ID, POD, POD_ and PODMAN stand for the names above, POD_ with underscores.
  const char* text;
  const char* runtime;
  const char* pod;
};

const std::vector<Case>& Cases() {
  static const auto* const cases = new std::vector<Case>{
      {"docker, version 1", "12:pids:/docker/ID\n1:name=systemd:/docker/ID\n0::/system.slice\n",
       "docker", ""},
      {"docker, version 2, systemd", "0::/system.slice/docker-ID.scope\n", "docker", ""},
      {"docker in docker", "0::/docker/ID0/docker/ID\n", "docker", ""},
      {"docker, seen from a control group beside it", "0::/../../docker-ID.scope\n", "docker", ""},
      {"containerd, ctr", "0::/default/ID\n", "containerd", ""},
      {"nerdctl, systemd", "0::/system.slice/nerdctl-ID.scope\n", "containerd", ""},
      {"kubelet with containerd, systemd, version 2",
       "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD_.slice/"
       "cri-containerd-ID.scope\n",
       "containerd", kPod},
      {"kubelet with containerd, systemd, guaranteed",
       "0::/kubepods.slice/kubepods-podPOD_.slice/cri-containerd-ID.scope\n", "containerd", kPod},
      {"kubelet with containerd, cgroupfs, version 1",
       "11:memory:/kubepods/besteffort/podPOD/ID\n10:cpu,cpuacct:/kubepods/besteffort/podPOD/ID\n",
       "kubernetes", kPod},
      {"containerd told systemd's names without systemd",
       "0::/system.slice/containerd.service/kubepods-burstable-podPOD_.slice:cri-containerd:ID\n",
       "containerd", kPod},
      {"kubelet with docker, cgroupfs", "4:cpu:/kubepods/burstable/podPOD/ID\n", "kubernetes",
       kPod},
      {"kubelet with CRI-O, systemd, version 2",
       "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podPOD_.slice/"
       "crio-ID.scope/container\n",
       "cri-o", kPod},
      {"CRI-O, cgroupfs", "0::/kubepods/besteffort/podPOD/crio-ID\n", "cri-o", kPod},
      {"kubelet in kind",
       "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
       "kubelet-kubepods-burstable-podPOD_.slice/cri-containerd-ID.scope\n",
       "containerd", kPod},
      {"podman, root, systemd", "0::/machine.slice/libpod-ID.scope/container\n", "podman", ""},
      {"podman, rootless",
       "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container\n",
       "podman", ""},
      {"podman, cgroupfs, hybrid", "9:name=systemd:/libpod_parent/libpod-ID\n0::/\n", "podman", ""},
      {"podman, a pod",
       "0::/machine.slice/machine-libpod_pod_PODMAN.slice/libpod-ID.scope/container\n", "podman",
       kPodmanPod},
  };
  return *cases;
}

std::string Text(const char* pattern) {
  return absl::StrReplaceAll(pattern, {{"ID0", std::string(64, '0')},
                                       {"ID", kId},
                                       {"PODMAN", kPodmanPod},
                                       {"POD_", absl::StrReplaceAll(kPod, {{"-", "_"}})},
                                       {"POD", kPod}});
}

TEST(CgroupContainer, names_of_every_runtime__then_container_and_pod_are_known) {
  for (const Case& one : Cases()) {
    const CgroupContainer container = ParseCgroup(Text(one.text));
    EXPECT_EQ(container.runtime, one.runtime) << one.what;
    EXPECT_EQ(container.id, kId) << one.what;
    EXPECT_EQ(container.pod_uid, one.pod) << one.what;
  }
}

TEST(CgroupContainer, static_pod__then_its_hash_is_its_uid) {
  const std::string hash(32, 'b');
  const CgroupContainer container =
      ParseCgroup(absl::StrCat("0::/kubepods/burstable/pod", hash, "/", kId, "\n"));
  EXPECT_EQ(container.id, kId);
  EXPECT_EQ(container.pod_uid, hash);
}

TEST(CgroupContainer, processes_of_the_host__then_no_container) {
  for (const char* text :
       {"", "0::/\n", "0::/init.scope\n", "0::/user.slice/user-1000.slice/session-3.scope\n",
        "0::/system.slice/docker.service\n", "0::/system.slice/containerd.service\n",
        "9:name=systemd:/libpod_parent/conmon\n", "not a control group", "1:a\n", ":::\n",
        // A hash that is no id, and one that is too long.
        "4:memory:/process_api/d1a7ca0b50f5a1fe5f0e3a331b7566f9\n", "0::/docker/IDa\n"}) {
    EXPECT_EQ(ParseCgroup(Text(text)).id, "") << text;
  }
}

TEST(CgroupContainer, monitors_of_containers__then_are_not_in_them) {
  for (const char* text :
       {"0::/machine.slice/libpod-conmon-ID.scope\n", "0::/system.slice/crio-conmon-ID.scope\n"}) {
    EXPECT_EQ(ParseCgroup(Text(text)).id, "") << text;
  }
}

}  // namespace
}  // namespace flightrec::host
