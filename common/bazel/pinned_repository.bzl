"""An external repository made of pinned packages (debs, npm tarballs)."""

def _pinned_repository_impl(rctx):
    for pin in rctx.attr.pins:
        kind, _, name, version, sha256 = pin.split(" ")
        rctx.report_progress("%s %s" % (name, version))
        result = rctx.execute(
            [rctx.path(rctx.attr._fetch), kind, name, version, sha256] + rctx.attr.members,
            timeout = 600,
        )
        if result.return_code:
            fail("\n" + result.stderr.strip())
    if rctx.attr.root:
        for entry in rctx.path(rctx.attr.root).readdir():
            rctx.symlink(entry, entry.basename)
    for patch in rctx.attr.patches:
        rctx.patch(patch, strip = 1)
    for archive, members in rctx.attr.merged_archives.items():
        _merge_archives(rctx, archive, members)
    for package, targets in rctx.attr.alias_packages.items():
        rctx.file(package + "/BUILD.bazel", _aliases(targets, rctx.attr.alias_target), executable = False)
    if rctx.attr.build_file:
        rctx.symlink(rctx.attr.build_file, rctx.attr.build_package + "BUILD.bazel")
    if not rctx.path("WORKSPACE").exists:
        rctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % rctx.name, executable = False)

def _merge_archives(rctx, archive, members):
    # Debian's Abseil and gRPC archives refer to each other in circles, which no link order solves.
    directory = "usr/lib/x86_64-linux-gnu"
    script = "cd %s && { echo create %s; for member in %s; do echo addlib $member; done; echo save; } | ar -M" % (
        directory,
        archive,
        " ".join(members),
    )
    result = rctx.execute(["bash", "-c", script])
    if result.return_code:
        fail("merging %s failed: %s" % (archive, result.stderr))

def _aliases(targets, actual):
    lines = ["package(default_visibility = [\"//visibility:public\"])"]
    for target in targets:
        lines.append("alias(name = \"%s\", actual = \"%s\")" % (target, actual))
    return "\n\n".join(lines) + "\n"

pinned_repository = repository_rule(
    implementation = _pinned_repository_impl,
    doc = "Unpacks pinned packages, then adds a BUILD file.",
    attrs = {
        "alias_packages": attr.string_list_dict(doc = "package -> names that all mean alias_target"),
        "alias_target": attr.string(),
        "build_file": attr.label(allow_single_file = True),
        "build_package": attr.string(doc = "where build_file goes; ends with a slash unless empty"),
        "members": attr.string_list(doc = "npm only: the files wanted out of the tarball"),
        "merged_archives": attr.string_list_dict(doc = "archive to make -> shell patterns of its parts"),
        "patches": attr.label_list(allow_files = True),
        "pins": attr.string_list(mandatory = True, doc = "lines of the lock"),
        "root": attr.string(doc = "a folder of the package that becomes the root of the repository"),
        "_fetch": attr.label(default = "//common/bazel:fetch"),
    },
)
