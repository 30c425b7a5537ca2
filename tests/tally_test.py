"""tally counts test cases that ran, and takes no silence for success."""

import json
import os
import subprocess

import pytest

TALLY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tally")
TIDY_OK = "tidy: 2 rules passed, 0 failed\n"


def junit(*cases):
    return "<testsuites><testsuite>" + "".join(cases) + "</testsuite></testsuites>"


def case(name, inner="", status="run"):
    return f'<testcase name="{name}" classname="C" status="{status}">{inner}</testcase>'


class Results:
    """A directory as tests/run leaves it: everything passed unless a test says otherwise."""

    def __init__(self, directory):
        self.directory = directory
        self.events = []
        self.write("checks.tsv", "passed\tbuf lint\n")
        self.write("tidy.txt", TIDY_OK)
        self.write("bazel.exit", "0\n")
        self.write("pytest.exit", "0\n")
        self.write("pytest.xml", junit(case("p")))

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    def add_target(self, label, xml, status="PASSED", attempt=1):
        path = self.write(f"{label.replace('/', '_')}.{attempt}.xml", xml)
        self.events.append({
            "id": {"testResult": {"label": label, "run": 1, "shard": 1, "attempt": attempt}},
            "testResult": {"status": status,
                           "testActionOutput": [{"name": "test.xml", "uri": f"file://{path}"}]},
        })

    def sum(self):
        self.write("bazel.json", "\n".join(json.dumps(event) for event in self.events))
        result = subprocess.run([TALLY, str(self.directory)], capture_output=True, text=True)
        return result.stdout.splitlines(), result.returncode


@pytest.fixture
def results(tmp_path):
    made = Results(tmp_path)
    made.add_target("//a:a_test", junit(case("one"), case("two")))
    return made


def test_all_passed__then_counts_every_case(results):
    assert results.sum() == (["6 passed, 0 failed"], 0)


def test_case_failed__then_names_it_and_exits_1(results):
    results.add_target("//b:b_test", junit(case("good"), case("bad", "<failure/>")), "FAILED")
    assert results.sum() == (["FAILED //b:b_test: C.bad", "7 passed, 1 failed"], 1)


def test_second_attempt_passed__then_counts_only_that(results):
    results.add_target("//b:b_test", junit(case("c", "<failure/>")), "FAILED", attempt=1)
    results.add_target("//b:b_test", junit(case("c")), attempt=2)
    assert results.sum() == (["7 passed, 0 failed"], 0)


@pytest.mark.parametrize(
    "xml,status,words",
    [
        (junit(), "PASSED", "ran no test case"),
        ("", "FAILED", "no test results"),
        (junit(case("one")), "FAILED", "failed outside its test cases"),
        (junit(case("one", status="notrun")), "PASSED", "was not run"),
        (junit(case("one", "<skipped/>")), "PASSED", "was not run"),
    ],
)
def test_target_without_a_clean_result__then_is_a_failure(results, xml, status, words):
    results.add_target("//b:b_test", xml, status)
    lines, code = results.sum()
    assert words in lines[0] and lines[-1].endswith(" 1 failed") and code == 1


def test_target_not_built__then_is_a_failure(results):
    results.events.append({"id": {"targetCompleted": {"label": "//b:b"}}, "completed": {}})
    results.write("bazel.exit", "1\n")
    assert results.sum() == (["FAILED //b:b: not built", "6 passed, 1 failed"], 1)


@pytest.mark.parametrize("name", ["tidy.txt", "bazel.exit", "pytest.xml", "pytest.exit"])
def test_part_left_nothing__then_is_a_failure(results, name):
    os.remove(results.directory / name)
    lines, code = results.sum()
    assert lines[-1].endswith(" 1 failed") and code == 1
