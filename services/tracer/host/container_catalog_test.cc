#include "services/tracer/host/container_catalog.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace flightrec::host {
namespace {

const std::string& Id() {
  static const auto* const id = new std::string(64, 'a');
  return *id;
}

// A host's file system with nothing but what a test puts there.
class ContainerCatalogTest : public testing::Test {
 protected:
  ContainerCatalogTest()
      : root_(absl::StrCat(testing::TempDir(), "host-",
                           testing::UnitTest::GetInstance()->current_test_info()->name())) {}
  ~ContainerCatalogTest() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file(root_ + path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  ContainerNames Find(const std::string& runtime, const std::string& id = Id()) {
    return ContainerCatalog(root_).Find({runtime, id, ""});
  }

  const std::string root_;
};

std::string Storage(const std::string& id, const std::string& name) {
  return absl::StrCat(R"([{"id": ")", id, R"(", "names": [")", name,
                      R"("], "image": "bc6a", "layer": "d287", "metadata": )",
                      R"("{\"image-name\":\"docker.io/library/nginx:1.25\",\"name\":\"web\"}"}])");
}

TEST_F(ContainerCatalogTest, podman__then_name_and_image_come_from_its_storage) {
  Write("/var/lib/containers/storage/overlay-containers/containers.json", Storage(Id(), "web"));
  const ContainerNames names = Find("podman");
  EXPECT_EQ(names.name, "web");
  EXPECT_EQ(names.image, "docker.io/library/nginx:1.25");
  EXPECT_EQ(names.pod, "");
}

TEST_F(ContainerCatalogTest, podman_of_a_user__then_is_found_in_the_home_directory) {
  const std::string home = "/home";
  Write(absl::StrCat(home, "/ada/.local/share/containers/storage/vfs-containers/containers.json"),
        Storage(Id(), "mine"));
  EXPECT_EQ(Find("podman").name, "mine");
}

TEST_F(ContainerCatalogTest, docker__then_name_image_and_pod_come_from_its_config) {
  Write(absl::StrCat("/var/lib/docker/containers/", Id(), "/config.v2.json"),
        R"({"ID": "x", "Name": "/web", "Config": {"Image": "nginx:1.25", "Labels": {
           "io.kubernetes.pod.name": "web-1", "io.kubernetes.pod.namespace": "shop"}}})");
  for (const char* runtime : {"docker", "kubernetes", "container"}) {
    const ContainerNames names = Find(runtime);
    EXPECT_EQ(names.name, "web") << runtime;
    EXPECT_EQ(names.image, "nginx:1.25");
    EXPECT_EQ(names.pod, "web-1");
    EXPECT_EQ(names.pod_namespace, "shop");
  }
}

TEST_F(ContainerCatalogTest, containerd__then_names_come_from_the_annotations_of_its_bundle) {
  Write(absl::StrCat("/run/containerd/io.containerd.runtime.v2.task/k8s.io/", Id(), "/config.json"),
        R"({"annotations": {"io.kubernetes.cri.container-name": "app",
           "io.kubernetes.cri.image-name": "registry/app:2",
           "io.kubernetes.cri.sandbox-name": "app-7", "io.kubernetes.cri.sandbox-namespace": "x"}})");
  const ContainerNames names = Find("containerd");
  EXPECT_EQ(names.name, "app");
  EXPECT_EQ(names.image, "registry/app:2");
  EXPECT_EQ(names.pod, "app-7");
  EXPECT_EQ(names.pod_namespace, "x");
}

TEST_F(ContainerCatalogTest, nerdctl__then_its_name_comes_from_the_annotations) {
  Write(
      absl::StrCat("/run/containerd/io.containerd.runtime.v2.task/default/", Id(), "/config.json"),
      R"({"annotations": {"nerdctl/name": "box"}})");
  EXPECT_EQ(Find("containerd").name, "box");
}

TEST_F(ContainerCatalogTest, cri_o__then_the_bundle_says_more_than_the_storage) {
  Write("/var/lib/containers/storage/overlay-containers/containers.json",
        Storage(Id(), "k8s_app_app-7_x_0"));
  Write(absl::StrCat("/run/containers/storage/overlay-containers/", Id(), "/userdata/config.json"),
        R"({"annotations": {"io.kubernetes.container.name": "app",
           "io.kubernetes.cri-o.ImageName": "quay.io/app:2", "io.kubernetes.pod.name": "app-7",
           "io.kubernetes.pod.namespace": "x"}})");
  const ContainerNames names = Find("cri-o");
  EXPECT_EQ(names.name, "app");
  EXPECT_EQ(names.image, "quay.io/app:2");
  EXPECT_EQ(names.pod, "app-7");
  EXPECT_EQ(names.pod_namespace, "x");
}

TEST_F(ContainerCatalogTest, files_that_are_damaged__then_names_are_empty) {
  Write("/var/lib/containers/storage/overlay-containers/containers.json",
        R"([{"id": 7}, {"id": "x", "names": {}, "metadata": 3}, null, {"names": ["y"]}])");
  Write(absl::StrCat("/var/lib/docker/containers/", Id(), "/config.v2.json"), "{");
  EXPECT_EQ(Find("docker").name, "");
  EXPECT_EQ(Find("podman", "x").name, "");
}

TEST(ShortId, id__then_twelve_digits) {
  EXPECT_EQ(ShortId(Id()), std::string(12, 'a'));
  EXPECT_EQ(ShortId("abc"), "abc");
}

}  // namespace
}  // namespace flightrec::host
