"""C++ rules for our own code: the native ones with every warning an error."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")

# Third-party headers arrive by -isystem and stay quiet.
_COPTS = [
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wcast-qual",
    "-Wdate-time",
    "-Wextra-semi",
    "-Wimplicit-fallthrough",
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
    "-Wpointer-arith",
    "-Wsuggest-override",
    "-Wundef",
    "-Wvla",
    # GCC 12 sees overlapping copies inside std::string where there are none (GCC bug 105651).
    "-Wno-restrict",
]

def flightrec_cc_library(copts = [], linkstatic = True, **attrs):
    cc_library(copts = _COPTS + copts, linkstatic = linkstatic, **attrs)

def flightrec_cc_binary(copts = [], **attrs):
    cc_binary(copts = _COPTS + copts, **attrs)

def flightrec_cc_test(copts = [], deps = [], size = "small", **attrs):
    """A GoogleTest program; its main comes from gtest_main.

    Args:
      copts: added to the strict ones.
      deps: gtest_main is added.
      size: "small" unless told.
      **attrs: as of cc_test.
    """
    main = "@com_google_googletest//:gtest_main"
    cc_test(
        copts = _COPTS + copts,
        size = size,
        deps = deps + ([] if main in deps else [main]),
        **attrs
    )

def flightrec_cc_benchmark(copts = [], deps = [], tags = [], **attrs):
    """A Google Benchmark program, run by hand or by tests/bench; main included.

    Args:
      copts: added to the strict ones.
      deps: benchmark_main is added.
      tags: "benchmark" is added.
      **attrs: as of cc_binary.
    """
    main = "@com_github_google_benchmark//:benchmark_main"
    cc_binary(
        copts = _COPTS + copts,
        testonly = True,
        deps = deps + ([] if main in deps else [main]),
        tags = tags + ["benchmark"],
        **attrs
    )
