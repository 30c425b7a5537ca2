#include "services/tracer/host/cgroup_container.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace flightrec::host {
namespace {

constexpr size_t kIdDigits = 64;
constexpr size_t kUidLength = 36;        // 8-4-4-4-12
constexpr size_t kStaticPodDigits = 32;  // a hash of the pod's file
constexpr absl::string_view kPodmanPod = "libpod_pod_";

struct Prefix {
  absl::string_view text;
  absl::string_view runtime;
};
constexpr Prefix kPrefixes[] = {{"docker-", "docker"},
                                {"cri-containerd-", "containerd"},
                                {"nerdctl-", "containerd"},
                                {"crio-", "cri-o"},
                                {"libpod-", "podman"}};

bool IsHex(absl::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isxdigit(static_cast<unsigned char>(c));
         });
}

bool IsUid(absl::string_view text) {
  if (text.size() != kUidLength) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    if (hyphen ? text[i] != '-' : !absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))) {
      return false;
    }
  }
  return true;
}

// "kubepods-burstable-pod1234_..._.slice", "pod1234-...", "machine-libpod_pod_<id>.slice", "<id>"
// of podman's cgroupfs driver is not recognised: a container would look the same.
std::string PodOf(absl::string_view component) {
  absl::ConsumeSuffix(&component, ".slice");
  const size_t podman = component.find(kPodmanPod);
  if (podman != absl::string_view::npos) {
    const absl::string_view id = component.substr(podman + kPodmanPod.size());
    return IsHex(id, kIdDigits) ? std::string(id) : "";
  }
  const size_t pod = component.rfind("pod");
  if (pod == absl::string_view::npos) return "";
  if (pod != 0 && component[pod - 1] != '-') return "";
  const absl::string_view rest = component.substr(pod + 3);
  if (IsHex(rest, kStaticPodDigits)) return std::string(rest);
  // A hyphen separates slices in systemd, so the kubelet writes an underscore.
  const std::string uid = absl::StrReplaceAll(rest, {{"_", "-"}});
  return IsUid(uid) ? uid : "";
}

// One component that names a container, or an empty id.
CgroupContainer ContainerOf(absl::string_view component) {
  absl::ConsumeSuffix(&component, ".scope");
  // containerd told to use systemd's names without systemd: "a.slice:cri-containerd:<id>".
  const std::vector<absl::string_view> parts = absl::StrSplit(component, ':');
  if (parts.size() == 3 && IsHex(parts[2], kIdDigits)) {
    const bool cri_o = parts[1] == "crio";
    return {cri_o ? "cri-o" : "containerd", std::string(parts[2]), PodOf(parts[0])};
  }
  for (const Prefix& prefix : kPrefixes) {
    absl::string_view id = component;
    // The monitors of podman and CRI-O are "libpod-conmon-<id>" and "crio-conmon-<id>".
    if (absl::ConsumePrefix(&id, prefix.text) && IsHex(id, kIdDigits)) {
      return {std::string(prefix.runtime), std::string(id), ""};
    }
  }
  if (IsHex(component, kIdDigits)) return {"container", std::string(component), ""};
  return {};
}

std::string RuntimeOfBareId(absl::string_view path, absl::string_view parent) {
  if (parent == "docker") return "docker";
  if (absl::StrContains(path, "/libpod_parent/")) return "podman";
  if (absl::StrContains(path, "kubepods")) return "kubernetes";
  // containerd's namespaces.
  if (parent == "default" || parent == "k8s.io" || parent == "moby") return "containerd";
  return "container";
}

CgroupContainer ParsePath(absl::string_view path) {
  const std::vector<absl::string_view> components = absl::StrSplit(path, '/');
  CgroupContainer found;
  // The innermost one: containers in containers are asked for by their own name.
  for (size_t i = components.size(); i-- > 0 && found.id.empty();) {
    found = ContainerOf(components[i]);
    if (found.runtime == "container" && i > 0) {
      found.runtime = RuntimeOfBareId(path, components[i - 1]);
    }
  }
  if (found.id.empty()) return {};
  for (absl::string_view component : components) {
    if (found.pod_uid.empty()) found.pod_uid = PodOf(component);
  }
  return found;
}

}  // namespace

CgroupContainer ParseCgroup(absl::string_view text) {
  CgroupContainer best;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    // number:controllers:path, where the path may have colons of its own.
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    CgroupContainer found = ParsePath(fields[2]);
    if (found.id.empty()) continue;
    if (best.id.empty() || (best.pod_uid.empty() && !found.pod_uid.empty())) {
      best = std::move(found);
    }
  }
  return best;
}

}  // namespace flightrec::host
