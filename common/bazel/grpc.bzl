"""cc_grpc_library: C++ service stubs of a proto_library."""

load("@rules_cc//cc:defs.bzl", "cc_library")
load("@rules_proto//proto:defs.bzl", "ProtoInfo")

def _import_path(source, root):
    # With strip_import_prefix a source lies under a virtual root; protos import it without.
    if root and root != "." and source.path.startswith(root + "/"):
        return source.path[len(root) + 1:]
    return source.short_path

def _grpc_sources_impl(ctx):
    headers, sources = [], []
    for proto in [src[ProtoInfo] for src in ctx.attr.srcs]:
        paths = [_import_path(source, proto.proto_source_root) for source in proto.direct_sources]
        stems = ["%s/%s" % (ctx.attr.out, path[:-len(".proto")]) for path in paths]
        made_headers = [ctx.actions.declare_file(stem + ".grpc.pb.h") for stem in stems]
        made_sources = [ctx.actions.declare_file(stem + ".grpc.pb.cc") for stem in stems]
        out = "/".join([part for part in [
            ctx.bin_dir.path,
            ctx.label.workspace_root,
            ctx.label.package,
            ctx.attr.out,
        ] if part])
        args = ctx.actions.args()
        args.add("--plugin=protoc-gen-grpc=" + ctx.executable._plugin.path)
        args.add("--grpc_out=" + out)
        args.add_joined(
            "--descriptor_set_in",
            proto.transitive_descriptor_sets,
            join_with = ctx.configuration.host_path_separator,
        )
        args.add_all(paths)
        ctx.actions.run(
            arguments = [args],
            executable = ctx.executable._protoc,
            inputs = proto.transitive_descriptor_sets,
            mnemonic = "GrpcStubs",
            outputs = made_headers + made_sources,
            progress_message = "Generating gRPC stubs of %s" % ctx.label,
            tools = [ctx.executable._plugin],
        )
        headers += made_headers
        sources += made_sources
    return [
        DefaultInfo(files = depset(headers + sources)),
        OutputGroupInfo(headers = depset(headers), sources = depset(sources)),
    ]

_grpc_sources = rule(
    implementation = _grpc_sources_impl,
    attrs = {
        "out": attr.string(mandatory = True),
        "srcs": attr.label_list(mandatory = True, providers = [ProtoInfo]),
        "_plugin": attr.label(
            cfg = "exec",
            default = "@com_github_grpc_grpc//:grpc_cpp_plugin",
            executable = True,
        ),
        "_protoc": attr.label(
            cfg = "exec",
            default = "@com_google_protobuf//:protoc",
            executable = True,
        ),
    },
)

def cc_grpc_library(name, srcs, deps, visibility = None, testonly = None, grpc_only = True):
    """A C++ library with the service stubs of `srcs`.

    Args:
      name: of the library.
      srcs: proto_library targets.
      deps: the cc_proto_library of each of them.
      visibility: of the library.
      testonly: as everywhere.
      grpc_only: accepted so that the upstream rule of this name fits too; must be True.
    """
    if not grpc_only:
        fail("cc_grpc_library(%s): only grpc_only = True is offered; add a cc_proto_library" % name)
    stubs = "_%s_stubs" % name
    _grpc_sources(
        name = stubs,
        out = "_" + name,
        srcs = srcs,
        testonly = testonly,
        visibility = ["//visibility:private"],
    )
    for group in ["headers", "sources"]:
        native.filegroup(
            name = "_%s_%s" % (name, group),
            srcs = [":" + stubs],
            output_group = group,
            testonly = testonly,
            visibility = ["//visibility:private"],
        )
    cc_library(
        name = name,
        srcs = [":_%s_sources" % name],
        hdrs = [":_%s_headers" % name],
        includes = ["_" + name],
        linkstatic = True,
        testonly = testonly,
        visibility = visibility,
        deps = deps + ["@com_github_grpc_grpc//:grpc++"],
    )
