"""The external repositories, under the names their upstreams use."""

load("//common/bazel:absl_packages.bzl", "ABSL_PACKAGES")
load("//common/bazel:lock.bzl", "LOCK")
load("//common/bazel:pinned_repository.bzl", "pinned_repository")

def _pinned(name, **attrs):
    # A consumer that already has the upstream repository keeps it.
    if name in native.existing_rules():
        return
    pinned_repository(
        name = name,
        pins = [pin for pin in LOCK if pin.split(" ")[1] == name],
        **attrs
    )

def _library(name, **attrs):
    _pinned(name, build_file = "//common/bazel/third_party:%s.BUILD" % name, **attrs)

def flightrec_dependencies():
    """Declares what WORKSPACE needs; nothing is downloaded before a target asks for it."""
    _pinned("bazel_skylib", root = "usr/share/bazel/tools/skylib")
    _pinned("platforms", root = "usr/share/bazel/tools/platforms")
    _pinned("rules_cc", root = "usr/share/bazel/rules/cc", patches = ["//common/bazel/third_party:rules_cc.patch"])
    _pinned("rules_java", root = "usr/share/bazel/rules/java")
    _pinned("rules_proto", root = "usr/share/bazel/rules/proto")

    _library(
        "com_google_absl",
        merged_archives = {"libabsl.a": ["libabsl_*.a"]},
        alias_packages = ABSL_PACKAGES,
        alias_target = "//:absl",
    )
    _library("com_google_protobuf")
    _library(
        "com_github_grpc_grpc",
        merged_archives = {"libgrpc_core.a": ["libgrpc.a", "libgpr.a", "libaddress_sorting.a", "libupb.a"]},
    )
    _library("com_google_googletest")
    _library("com_github_google_benchmark")
    _library(
        "com_google_googleapis",
        build_package = "google/rpc/",
        members = [
            "LICENSE",
            "google/rpc/code.proto",
            "google/rpc/error_details.proto",
            "google/rpc/status.proto",
        ],
    )

    _library("remote_coverage_tools")

    _library("boost")
    _library("bzip2")
    _library("com_github_cares_cares")
    _library("com_googlesource_code_re2")
    _library("duckdb", members = ["LICENSE", "libduckdb.so"])
    _library("duckdb_headers", members = ["LICENSE", "src/duckdb/src/include/duckdb.h"])
    _library("io_grpc_grpc_proto", members = ["LICENSE", "proto/health/v1/health.proto"])
    _library("lz4")
    _library("nlohmann_json")
    _library("openssl")
    _library("rocksdb")
    _library("snappy")
    _library("sqlite_amalgamation", members = ["LICENSE", "deps/sqlite3/sqlite3.c", "deps/sqlite3/sqlite3.h"])
    _library("unicorn")  # GPL: for tests only
    _library("zlib")
    _library("zstd")
    _library("zydis")
