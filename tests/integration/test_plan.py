"""`flightrec plan`, and programs whose compiler left places for hooks: what is planned, and that it is what happens."""

import csv
import io
import json
import os
import re
import shutil
import subprocess

import pytest

CALLS = {"Leaf": 1000, "Nothing": 500, "Last": 10, "Sum": 250}
XRAY = ("-O2", "-fxray-instrument", "-fxray-instruction-threshold=1")
# Compiler, options, and the functions that are hooked in their sled; the others are not refused.
BUILDS = {
    "patchable": ("g++", ("-O2", "-fpatchable-function-entry=5"), {"Leaf", "Nothing", "Last", "Sum"}),
    "patchable_before_and_behind": (
        "g++", ("-O2", "-fpatchable-function-entry=10,5", "-fcf-protection=full"), {"Leaf", "Nothing", "Last", "Sum"}),
    "nop_mcount": ("g++", ("-O2", "-pg", "-mfentry", "-mnop-mcount", "-fno-pic", "-no-pie"),
                   {"Leaf", "Nothing", "Last", "Sum"}),
    "fentry": ("g++", ("-O2", "-pg", "-mfentry"), set()),
    "fentry_static": ("g++", ("-O2", "-pg", "-mfentry", "-static"), set()),
    "mcount": ("g++", ("-O2", "-pg"), set()),
    "xray": ("clang++", XRAY, {"Leaf", "Nothing"}),
}


def tsv(text):
    return list(csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture
def flightrec(repository, tmp_path):
    """Runs the command on a store of its own, in a directory of its own."""

    def run(*arguments, environment=None):
        command = [repository / "bazel-bin/services/flightrec/flightrec", arguments[0], f"--store={tmp_path / 'store'}"]
        return subprocess.run([*command, *arguments[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                              check=False, env={**os.environ, **(environment or {})})

    return run


def build(repository, tmp_path, name):
    compiler, options, _ = BUILDS[name]
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    program = tmp_path / name
    source = repository / "tests/targets/sleds.cc"
    built = subprocess.run([compiler, *options, source, "-o", program], capture_output=True, text=True, check=False)
    if built.returncode != 0 and compiler == "clang++":
        pytest.skip(f"clang's XRay runtime is not installed: {built.stderr}")
    assert built.returncode == 0, built.stderr
    return program


def short_names(examples):
    return {name.split("(")[0] for name in examples.split("; ")}


def recorded_calls(flightrec):
    rows = tsv(flightrec("report", "--output=tsv").stdout)
    return {row["function"].split("(")[0]: int(row["calls"]) for row in rows}


@pytest.mark.parametrize("name", BUILDS)
def test_sleds__planned_and_recorded__then_counts_are_exact(repository, tmp_path, flightrec, name):
    program = build(repository, tmp_path, name)
    patterns = [word for function in CALLS for word in ("-f", f"{function}(*")]
    plan = flightrec("plan", "--output=tsv", *patterns, "--", str(program))
    assert plan.returncode == 0, plan.stderr
    rows = tsv(plan.stdout)
    in_sleds = {function for row in rows if row["how"] == "SLED" for function in short_names(row["examples"])}
    assert in_sleds == BUILDS[name][2]
    assert not [row for row in rows if row["fate"] == "refused"]

    plain = subprocess.run([program], cwd=tmp_path, capture_output=True, text=True, check=True)
    recorded = flightrec("run", *patterns, "--", str(program))
    assert recorded.returncode == 0, recorded.stderr
    assert recorded.stdout == plain.stdout
    assert recorded_calls(flightrec) == CALLS


def test_xray__its_runtime_rewrites_sleds_before_main__then_both_record(repository, tmp_path, flightrec):
    program = build(repository, tmp_path, "xray")
    options = {"XRAY_OPTIONS": "patch_premain=true xray_mode=xray-basic verbosity=0"}
    plain = subprocess.run([program], capture_output=True, text=True, check=True)
    recorded = flightrec("run", "--", str(program), environment=options)
    assert recorded.returncode == 0, recorded.stderr
    assert recorded.stdout == plain.stdout
    assert list(tmp_path.glob("xray-log.*"))
    calls = recorded_calls(flightrec)
    assert calls["Sum"] == CALLS["Sum"]
    # What could be hooked in its sled only is left to XRay, and said so.
    assert "Leaf" not in calls
    assert "2 NOT_PLACED" in flightrec("report").stderr


def gprof_calls(program, folder):
    """Calls by function as gprof has them from the program's gmon.out."""
    flat = subprocess.run(["gprof", "-b", "-p", program, folder / "gmon.out"], capture_output=True, text=True, check=True)
    return {match[2]: int(match[1]) for match in re.finditer(r"(\d+) +[\d.]+ +[\d.]+ +(\w+)\(", flat.stdout)}


def test_gprof__program_calls_fentry__then_the_profile_counts_the_same_with_hooks(repository, tmp_path, flightrec):
    program = build(repository, tmp_path, "fentry")
    subprocess.run([program], cwd=tmp_path, capture_output=True, check=True)
    plain = gprof_calls(program, tmp_path)
    (tmp_path / "gmon.out").unlink()
    assert flightrec("run", "--", str(program)).returncode == 0
    assert gprof_calls(program, tmp_path) == plain
    assert {name: plain[name] for name in CALLS} == CALLS


def test_plan__of_a_program__then_reasons_examples_and_cost_and_nothing_runs(flightrec, target):
    plan = flightrec("plan", "--output=json", "-f", "*", "--", target("cold_parts"))
    assert plan.returncode == 0, plan.stderr
    rows = json.loads(plan.stdout)
    hooked = [row for row in rows if row["fate"] == "hooked"]
    assert [row["how"] for row in hooked] == ["INLINE"]
    assert 5 < hooked[0]["expected_ns_per_call"] < 1000
    cold = [row for row in rows if row["how"] == "COLD_FRAGMENT"]
    assert cold and cold[0]["examples"] and cold[0]["description"].endswith(".")
    assert json.loads(flightrec("recordings", "--output=json").stdout) == []


def test_plan__table__then_sums_in_the_heading_and_each_reason_explained(flightrec, target):
    plan = flightrec("plan", "--", target("cold_parts"))
    assert plan.returncode == 0, plan.stderr
    assert re.match(r"\*: \d+ functions, \d+ would be hooked, about \d+ ns a call\n", plan.stdout)
    assert "COLD_FRAGMENT: " in plan.stderr


def test_plan__library_pattern__then_functions_of_the_library_it_would_load(flightrec):
    path = shutil.which("xz", path="/usr/bin")
    assert path, "xz is not installed: see the list of machine packages"
    plan = flightrec("plan", "--output=tsv", "-f", "liblzma.so*:lzma_*", "-f", "libc.so*:*setjmp", "--", path)
    assert plan.returncode == 0, plan.stderr
    rows = tsv(plan.stdout)
    lzma = sum(int(row["functions"]) for row in rows if row["pattern"].startswith("liblzma") and row["fate"] == "hooked")
    assert lzma > 50
    assert {row["how"] for row in rows if row["pattern"].startswith("libc.so")} == {"SAVES_CONTEXT"}


def test_plan__tens_of_thousands_of_functions__then_all_are_counted(flightrec, repository):
    program = repository / "bazel-bin/services/flightrec/flightrec"
    plan = flightrec("plan", "--output=json", "--", str(program))
    assert plan.returncode == 0, plan.stderr
    assert sum(row["functions"] for row in json.loads(plan.stdout)) > 40_000


def test_plan__what_it_says__then_run_hooks_as_many(flightrec, target):
    planned = json.loads(flightrec("plan", "--output=json", "--", target("sample")).stdout)
    hooked = sum(row["functions"] for row in planned if row["fate"] == "hooked")
    assert flightrec("run", "--", target("sample")).returncode == 0
    rows = tsv(flightrec("sql", "--output=tsv", "SELECT count(*) AS n FROM functions").stdout)
    assert int(rows[0]["n"]) == hooked


@pytest.mark.parametrize("arguments,named", [
    (["--", "/no/such/program"], "/no/such/program"),
    (["-f", "nothing_like_it", "--", "/usr/bin/env"], "nothing_like_it"),
    ([], "flightrec plan"),
])
def test_plan__that_cannot_be_made__then_says_why(flightrec, arguments, named):
    failed = flightrec("plan", *arguments)
    assert failed.returncode != 0
    assert named in failed.stderr


@pytest.mark.parametrize("command", ["plan", "run"])
def test_trap_short_functions__then_refused_and_nothing_runs(flightrec, target, command):
    failed = flightrec(command, "--trap_short_functions", "--", target("prints"))
    assert failed.returncode != 0
    assert failed.stdout == ""
    assert "SIGTRAP" in failed.stderr
