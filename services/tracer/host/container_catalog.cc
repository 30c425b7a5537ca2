#include "services/tracer/host/container_catalog.h"

#include <dirent.h>

#include <algorithm>
#include <initializer_list>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"
#include "services/tracer/host/proc_directory.h"

namespace flightrec::host {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxStateBytes = size_t{16} << 20;
constexpr size_t kMaxHomes = 256;
constexpr size_t kShortId = 12;
// Of containers/storage; podman takes another only where this one cannot be had.
constexpr const char* kDrivers[] = {"overlay", "vfs", "btrfs", "zfs"};

Json ReadJson(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadTextFile(path, kMaxStateBytes);
  if (!text.ok()) return Json();
  return Json::parse(*text, /*cb=*/nullptr, /*allow_exceptions=*/false);
}

// A null where there is no such member, or `json` is no object.
const Json& Member(const Json& json, const char* key) {
  static const Json* const none = new Json();
  if (!json.is_object()) return *none;
  const auto found = json.find(key);
  return found == json.end() ? *none : *found;
}

std::string Text(const Json& json, const char* key) {
  const Json& member = Member(json, key);
  return member.is_string() ? member.get<std::string>() : "";
}

// The first that is there.
std::string FirstText(const Json& json, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    std::string text = Text(json, key);
    if (!text.empty()) return text;
  }
  return "";
}

std::vector<std::string> Homes(const std::string& root) {
  std::vector<std::string> homes = {absl::StrCat(root, "/root")};
  const std::string folder = absl::StrCat(root, "/home");
  DIR* listing = opendir(folder.c_str());
  if (listing == nullptr) return homes;
  absl::Cleanup close_listing = [listing] { closedir(listing); };
  while (const dirent* entry = readdir(listing)) {
    if (entry->d_name[0] == '.') continue;
    if (homes.size() >= kMaxHomes) break;
    homes.push_back(absl::StrCat(folder, "/", entry->d_name));
  }
  return homes;
}

// Labels and annotations that the kubelet and the runtimes under it give.
void AddPod(const Json& labels, ContainerNames& names) {
  const std::string container =
      FirstText(labels, {"io.kubernetes.container.name", "io.kubernetes.cri.container-name"});
  if (!container.empty()) names.name = container;
  names.pod = FirstText(labels, {"io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name"});
  names.pod_namespace =
      FirstText(labels, {"io.kubernetes.pod.namespace", "io.kubernetes.cri.sandbox-namespace"});
  const std::string image =
      FirstText(labels, {"io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName",
                         "io.kubernetes.cri-o.Image"});
  if (!image.empty() && names.image.empty()) names.image = image;
}

ContainerNames FindDocker(const std::string& root, const std::string& id) {
  const Json json =
      ReadJson(absl::StrCat(root, "/var/lib/docker/containers/", id, "/config.v2.json"));
  ContainerNames names;
  const std::string name = Text(json, "Name");
  names.name = std::string(absl::StripPrefix(name, "/"));
  names.image = Text(Member(json, "Config"), "Image");
  AddPod(Member(Member(json, "Config"), "Labels"), names);
  return names;
}

// The runtime's own description of the container, with annotations.
ContainerNames FindBundle(const std::string& path) {
  ContainerNames names;
  const Json json = ReadJson(path);
  const Json& annotations = Member(json, "annotations");
  AddPod(annotations, names);
  if (names.name.empty()) names.name = Text(annotations, "nerdctl/name");
  return names;
}

ContainerNames FindContainerd(const std::string& root, const std::string& id) {
  for (const char* space : {"k8s.io", "default", "moby"}) {
    ContainerNames names = FindBundle(absl::StrCat(
        root, "/run/containerd/io.containerd.runtime.v2.task/", space, "/", id, "/config.json"));
    if (!names.name.empty() || !names.pod.empty()) return names;
  }
  return {};
}

}  // namespace

ContainerCatalog::ContainerCatalog(std::string root) : root_(std::move(root)) {
  for (const char* driver : kDrivers) {
    const std::string containers = absl::StrCat("/", driver, "-containers/containers.json");
    ReadStorage(absl::StrCat(root_, "/var/lib/containers/storage", containers));
    for (const std::string& home : Homes(root_)) {
      ReadStorage(absl::StrCat(home, "/.local/share/containers/storage", containers));
    }
  }
}

void ContainerCatalog::ReadStorage(const std::string& path) {
  const Json list = ReadJson(path);
  if (!list.is_array()) return;
  for (const Json& one : list) {
    if (stored_.size() >= kMaxStoredContainers) return;
    const std::string id = Text(one, "id");
    if (id.empty()) continue;
    ContainerNames& names = stored_[id];
    const Json metadata =
        Json::parse(Text(one, "metadata"), /*cb=*/nullptr, /*allow_exceptions=*/false);
    names.image = Text(metadata, "image-name");
    const Json& given = Member(one, "names");
    if (given.is_array() && !given.empty() && given[0].is_string()) {
      names.name = given[0].get<std::string>();
    }
    // CRI-O: "k8s_app_web-1_default_UID_0" is the name, the parts are in the bundle.
    names.pod = Text(metadata, "pod-name");
  }
}

ContainerNames ContainerCatalog::Find(const CgroupContainer& container) const {
  const auto stored = stored_.find(container.id);
  ContainerNames names = stored == stored_.end() ? ContainerNames() : stored->second;
  if (container.runtime == "cri-o") {
    ContainerNames bundle =
        FindBundle(absl::StrCat(root_, "/run/containers/storage/overlay-containers/", container.id,
                                "/userdata/config.json"));
    if (!bundle.name.empty()) names.name = bundle.name;
    if (!bundle.image.empty()) names.image = bundle.image;
    if (!bundle.pod.empty()) names.pod = bundle.pod;
    names.pod_namespace = bundle.pod_namespace;
    return names;
  }
  if (container.runtime == "podman" || stored != stored_.end()) return names;
  names = FindDocker(root_, container.id);
  return names.name.empty() ? FindContainerd(root_, container.id) : names;
}

std::string ShortId(absl::string_view id) {
  return std::string(id.substr(0, std::min(id.size(), kShortId)));
}

}  // namespace flightrec::host
