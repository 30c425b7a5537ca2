"""Each rule of tidy flags its fixture, at the right line, and leaves clean code alone.

A fixture is built in a fresh git work tree; words that tidy forbids are assembled from parts.
"""

import importlib.machinery
import importlib.util
import os
import subprocess

import pytest

TIDY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tidy")


def load_tidy():
    loader = importlib.machinery.SourceFileLoader("tidy", TIDY)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("tidy", loader))
    loader.exec_module(module)
    return module


def library(name, *headers, extra=""):
    listed = ", ".join(f'"{header}"' for header in headers)
    return f'cc_library(\n    name = "{name}",\n    hdrs = [{listed}],\n    {extra})\n'


def body(lines, head="int F()"):
    return head + " {\n" + "  Step();\n" * (lines - 2) + "}\n"


INITIALIZERS = "F::F(int a) : a_{a}, b_(a) {\n" + "  Step();\n" * 80 + "}\n"
STRUCT = "struct S {\n" + "  int a = 0;\n" * 100 + "};\n"
TABLE = "constexpr int kTable[] = {\n" + "  1,\n" * 100 + "};\n"

# (rule, path, text, line that must be reported)
VIOLATIONS = [
    ("check_size", "common/a/a.cc", "int a;\n" * 601, 601),
    ("check_size", "common/a/a.h", "// A.\n" * 301, 301),
    ("check_size", "services/a/main.cc", "int a;\n" * 101, 101),
    ("check_function_size", "common/a/a.cc", "int b;\n" + body(71), 2),
    ("check_function_size", "common/a/a.cc", "namespace n {\n" + body(71) + "}\n", 2),
    ("check_function_size", "common/a/a.cc", "class C {\n" + body(71, "int F() const") + "};\n", 2),
    ("check_function_size", "common/a/a.cc", body(71, "template <class T>\nauto F(T t) -> int"), 1),
    ("check_function_size", "common/a/a.cc", INITIALIZERS, 1),
    ("check_function_size", "common/a/a.cc", body(71, "struct S F(int a = 3)"), 1),
    ("check_function_size", "common/a/a_test.cc", body(61, "TEST(A, b__then_c)"), 1),
    ("check_one_library_per_header", "common/a/BUILD", library("a", "a.h", "b.h"), 1),
    ("check_one_library_per_header", "common/a/BUILD", library("b", "a.h"), 1),
    ("check_glob", "common/a/BUILD", 'cc_library(name = "a", srcs = glob(["*.cc"]))\n', 1),
    ("check_banner", "common/a/a.cc", "int a;\n// " + "=" * 8 + "\n", 2),
    ("check_banner", "common/a/BUILD", "#" * 8 + "\n", 1),
    ("check_banner", "common/a/a.cc", "/" + "*" * 9 + "/\n", 1),
    ("check_name", "common/string_ut" "ils/a.h", "// A.\n", 1),
    ("check_name", "common/a/he" "lpers.cc", "", 1),
    ("check_dependency_direction", "common/a/a.cc", '#include "services/b/b.h"\n', 1),
    ("check_dependency_direction", "services/a/a.cc", '#include "services/b/b.h"\n', 1),
    ("check_dependency_direction", "services/a/x/BUILD", 'x(deps = ["//services/b"])\n', 1),
    ("check_dependency_direction", "proto/a/BUILD", 'x(deps = ["//common/b:b"])\n', 1),
    ("check_dependency_direction", "common/a/BUILD", 'cc_library(data = ["//tests/golden:a"])\n', 1),
    ("check_dependency_direction", "common/a/BUILD", 'cc_test(deps = ["//tests/b:b"])\n', 1),
    ("check_dependency_direction", "tests/a/BUILD", 'x(data = ["//deploy/b:b"])\n', 1),
    ("check_machine_path", "deploy/a", "\ncd /wo" "rk/main\n", 2),
    ("check_machine_path", "common/a/a.cc", 'auto p = "/tm' 'p/x";\n', 1),
    ("check_machine_path", "README.md", "see /ho" "me/me/x\n", 1),
    ("check_registry_host", "deploy/a", "curl https://registry.np" "mjs.org/x\n", 1),
    ("check_registry_host", "deploy/a", "deb http://deb.deb" "ian.org/debian bookworm\n", 1),
    ("check_switched_off", "common/a/a.cc", "\n// TO" "DO: later\n", 2),
    ("check_switched_off", "common/a/a_test.cc", "TEST(A, DISA" "BLED_b__then_c) {}\n", 1),
    ("check_switched_off", "common/a/a_test.cc", "GTEST_" "SKIP();\n", 1),
    ("check_header_purpose", "common/a/a.h", "#pragma once\n\n#include <string>\n", 3),
    ("check_grpc_in_domain", "services/a/x/b.h", "// B.\n#include <grpcpp/grpcpp.h>\n", 2),
    ("check_grpc_in_domain", "services/a/x/b.cc", '#include "flightrec/a.grpc.pb.h"\n', 1),
    ("check_test_name", "common/a/a_test.cc", "\nTEST_F(A, Works) {}\n", 2),
    ("check_sleep_in_test", "common/a/a_test.cc", "absl::Sleep" "For(x);\n", 1),
    ("check_sleep_in_test", "tests/a/a_test.py", "time.sl" "eep(1)\n", 1),
    ("check_include_from_root", "common/a/a.cc", '#include "../b/b.h"\n', 1),
    ("check_adjective", "README.md", "A rob" "ust service.\n", 1),
    ("check_open_service", "services/a/BUILD", 'cc_library(visibility = ["//visibility:pu' 'blic"])\n', 1),
    ("check_open_service", "services/a/BUILD", 'package(default_visibility = ["//visibility:pu' 'blic"])\n', 1),
]

CLEAN = {
    "common/a/a.h": "// A holds one number.\n#pragma once\n" + STRUCT,
    "common/a/a.cc": '#include "common/a/a.h"\n' + TABLE + body(70) + "// a / b\nauto c = '{';\n",
    "common/a/a_test.cc": body(60, "TEST(A, set_twice__then_keeps_last)"),
    "common/a/BUILD": library("a", "a.h", extra='visibility = ["//services:__subpackages__"],\n'),
    "common/b/BUILD": 'cc_test(name = "b_test", data = ["//tests/golden:b"])\n',
    "services/b/BUILD": 'cc_binary(name = "b", visibility = ["//visibility:pu' 'blic"])\n',
    "services/flightrec/x/up.cc": '#include "services/backend/backend_server.h"\n',
    "services/backend/x_service.h": "// X.\n#include <grpcpp/grpcpp.h>\n",
    "proto/a/BUILD": 'load("//common/bazel:grpc.bzl", "cc_grpc_library")\n',
    "tests/a/run": 'cache=${TMPDIR:-/tm' 'p}\ncd "$root/wo' 'rk/x"\n',
    "README.md": "# Title\n\n| a | b |\n|---|---|\n",
}


def tree(root, files):
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    for path, text in files.items():
        full = root / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(text)
    return root


@pytest.mark.parametrize("rule,path,text,line", VIOLATIONS, ids=lambda value: str(value)[:24])
def test_violation__then_its_rule_reports_the_line(tmp_path, rule, path, text, line):
    tidy = load_tidy()
    found = tidy.violations(tidy.files_of(str(tree(tmp_path, {path: text}))))
    assert [(p, number) for p, number, _ in found[rule]] == [(path, line)]


def test_every_rule__then_has_a_fixture():
    assert {rule.__name__ for rule in load_tidy().RULES} == {rule for rule, *_ in VIOLATIONS}


def test_clean_tree__then_no_violation(tmp_path):
    result = subprocess.run([TIDY, str(tree(tmp_path, CLEAN))], capture_output=True, text=True)
    assert result.stdout.count("\n") == 1 and " 0 failed" in result.stdout, result.stdout
    assert result.returncode == 0


def test_violation__then_prints_path_and_line_and_exits_1(tmp_path):
    root = tree(tmp_path, {"common/a/a.h": "int a;\n"})
    result = subprocess.run([TIDY, str(root)], capture_output=True, text=True)
    assert result.stdout.startswith("common/a/a.h:1: ")
    assert result.returncode == 1
