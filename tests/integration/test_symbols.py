"""Names, source lines and patterns by source of real programs, as a user of `flightrec run -f` meets them."""

import csv
import io
import os
import pathlib
import re
import subprocess

import pytest

DEBUG_ROOT = pathlib.Path("/usr/lib/debug/.build-id")

PROGRAM = """\
#include <vector>
#include "own.h"
__attribute__((noinline)) int Work(int n) {
  std::vector<int> values;
  for (int i = 0; i < n; ++i) values.push_back(InHeader(i));
  return values.size();
}
int main() { return Work(5) == 5 ? 0 : 1; }
"""
HEADER = "inline __attribute__((noinline)) int InHeader(int x) { return x * 7 + 1; }\n"


@pytest.fixture
def flightrec(repository, tmp_path):
    def run(*arguments):
        command = [repository / "bazel-bin/services/flightrec/flightrec", arguments[0], f"--store={tmp_path / 'store'}"]
        return subprocess.run([*command, *arguments[1:]], capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture
def rows(flightrec):
    """Runs a command that answers with a table; gives its rows."""

    def read(*arguments):
        answer = flightrec(*arguments, "--output=tsv")
        assert answer.returncode == 0, answer.stderr
        return list(csv.DictReader(io.StringIO(answer.stdout), delimiter="\t", quoting=csv.QUOTE_NONE))

    return read


@pytest.fixture
def program(tmp_path):
    """A program with debug information, unoptimised so that nothing is inlined."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "own.cc").write_text(PROGRAM)
    (folder / "own.h").write_text(HEADER)
    subprocess.run(["g++", "-g", "-O0", "-Wl,--build-id", "-o", "own", "own.cc"], cwd=folder, check=True)
    return folder / "own"


def strip(program, debug_file):
    subprocess.run(["objcopy", "--only-keep-debug", program, debug_file], check=True)
    subprocess.run(["strip", program], check=True)


def names(functions):
    return {row["name"].split("(")[0] for row in functions}


def test_program_with_lines__then_report_and_sql_have_them(flightrec, rows, program):
    assert flightrec("run", "--", program).returncode == 0
    by_report = {row["function"]: row["source"] for row in rows("report")}
    assert by_report["Work(int)"] == f"{program.parent}/own.cc:3"
    assert by_report["InHeader(int)"] == f"{program.parent}/own.h:1"
    [row] = rows("sql", "SELECT source_file, source_line FROM functions WHERE name = 'main'")
    assert (row["source_file"], row["source_line"]) == (f"{program.parent}/own.cc", "8")
    assert re.search(r" own\.cc:3 +Work\(int\)", flightrec("report").stdout)


def test_usercode__then_own_functions_without_those_of_headers_of_the_system(flightrec, rows, program):
    assert flightrec("run", "-f", "@usercode", "--", program).returncode == 0
    assert names(rows("sql", "SELECT name FROM functions")) == {"main", "Work", "InHeader"}


def test_file__then_functions_of_that_source_only(flightrec, rows, program):
    assert flightrec("run", "-f", "@file:app/own.h", "--", program).returncode == 0
    assert names(rows("sql", "SELECT name FROM functions")) == {"InHeader"}
    assert flightrec("run", "-f", "*,!@file:/usr/include/*", "--", program).returncode == 0
    assert names(rows("sql", "SELECT name FROM functions")) == {"main", "Work", "InHeader"}


def test_file__mistyped__then_names_the_one_that_was_meant(flightrec, program):
    recorded = flightrec("run", "-f", "@file:onw.cc", "--", program)
    assert recorded.returncode != 0
    assert "close files: own.cc" in recorded.stderr


def test_name__then_its_specialised_copy_is_hooked_under_a_name_of_its_own(flightrec, rows, tmp_path):
    (tmp_path / "copies.c").write_text(
        "static int __attribute__((noinline)) part(int x, int y) {\n"
        "  volatile int sum = 0;\n"
        "  for (int i = 0; i < x; ++i) sum += y;\n"
        "  return sum;\n"
        "}\n"
        "int main(int count, char **words) { (void)words; return part(count + 2, 7) - part(count, 7) != 14; }\n")
    subprocess.run(["gcc", "-O3", "-g", "-o", "copies", "copies.c"], cwd=tmp_path, check=True)
    assert flightrec("run", "-f", "part", "--", tmp_path / "copies").returncode == 0
    [row] = rows("report")
    assert (row["function"], row["calls"]) == ("part [clone .constprop.0]", "2")
    assert row["source"] == f"{tmp_path}/copies.c:1"


def test_debug_file_by_link__then_names_and_lines_of_the_stripped_program(flightrec, rows, program):
    (program.parent / ".debug").mkdir()
    strip(program, program.parent / ".debug" / "own.debug")
    link = f"--add-gnu-debuglink={program.parent}/.debug/own.debug"
    subprocess.run(["objcopy", link, program], check=True)
    assert flightrec("run", "-f", "Work", "--", program).returncode == 0
    [row] = rows("report")
    assert (row["function"], row["source"], row["calls"]) == ("Work(int)", f"{program.parent}/own.cc:3", "1")


@pytest.fixture
def by_build_id(program):
    """Where a package of debug symbols would install those of the program; removed afterwards."""
    notes = subprocess.run(["readelf", "-n", program], capture_output=True, text=True, check=True).stdout
    build_id = re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)
    folder = DEBUG_ROOT / build_id[:2]
    missing = next((place for place in reversed([folder, *folder.parents]) if not place.exists()), None)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{build_id[2:]}.debug"
    yield place
    place.unlink(missing_ok=True)
    # Others may have put something there meanwhile.
    for parent in (folder, *folder.parents):
        if missing not in (parent, *parent.parents) or any(parent.iterdir()):
            break
        parent.rmdir()


@pytest.mark.skipif(not os.access("/usr/lib", os.W_OK), reason="debug symbols are installed below /usr/lib/debug")
def test_debug_file_by_build_id__then_names_and_lines_of_the_stripped_program(flightrec, rows, program, by_build_id):
    strip(program, by_build_id)
    assert flightrec("run", "-f", "@usercode", "--", program).returncode == 0
    assert {row["function"]: row["source"] for row in rows("report")} == {
        "main": f"{program.parent}/own.cc:8",
        "Work(int)": f"{program.parent}/own.cc:3",
        "InHeader(int)": f"{program.parent}/own.h:1",
    }


@pytest.mark.skipif(not os.access("/usr/lib", os.W_OK), reason="debug symbols are installed below /usr/lib/debug")
def test_debug_file_of_another_build__then_ignored_and_said(flightrec, program, by_build_id):
    subprocess.run(["g++", "-g", "-O1", "-Wl,--build-id", "-o", "other", "own.cc"], cwd=program.parent, check=True)
    strip(program.parent / "other", by_build_id)
    subprocess.run(["strip", program], check=True)
    recorded = flightrec("run", "--", program)
    assert recorded.returncode == 0
    assert "is not used: it is of another build: the build ids differ" in recorded.stderr
    assert "sub_" in flightrec("report", "--output=tsv").stdout
