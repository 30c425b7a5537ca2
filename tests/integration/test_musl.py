"""Programs of another C library: musl, dynamic and static. Counts are exact, and the program does what it did."""

import csv
import io
import pathlib
import shutil
import subprocess

import pytest

LOADER = pathlib.Path("/lib/ld-musl-x86_64.so.1")
CALLS = {"add_one": 40000, "add_many": 40, "deep_exit": 8 * 41, "wait_for_ever": 5, "clean_up": 5, "jump_out": 100,
         "on_signal": 50, "main": 1}


@pytest.fixture(scope="module")
def build(repository, tmp_path_factory):
    """Programs of tests/targets, built by musl's compiler."""
    if shutil.which("musl-gcc") is None or not LOADER.exists():
        pytest.skip("musl-tools is not installed")
    folder = tmp_path_factory.mktemp("musl")

    def make(source, name, *options):
        program = folder / name
        subprocess.run(["musl-gcc", "-O2", "-w", *options, repository / "tests/targets" / source, "-o", program],
                       check=True)
        return program

    return make


@pytest.fixture
def flightrec(repository, tmp_path):
    def run(*arguments):
        command = [repository / "bazel-bin/services/flightrec/flightrec", arguments[0], f"--store={tmp_path / 'store'}"]
        return subprocess.run([*command, *arguments[1:]], capture_output=True, text=True, timeout=120, check=False)

    return run


def rows(answer):
    assert answer.returncode == 0, answer.stderr
    return list(csv.DictReader(io.StringIO(answer.stdout), delimiter="\t", quoting=csv.QUOTE_NONE))


def counts(flightrec):
    return {row["function"]: int(row["calls"]) for row in rows(flightrec("report", "--output=tsv", "--limit=10000"))}


def record(flightrec, command, pattern):
    """The counts of a recorded run, whose output has to be that of the program alone."""
    plain = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    recorded = flightrec("run", f"--function={pattern}", "--lane_bytes=16777216", "--", *command)
    assert recorded.returncode == 0, recorded.stderr
    assert recorded.stdout == plain.stdout
    return counts(flightrec), recorded.stderr


@pytest.mark.parametrize("linkage", ["dynamic", "static"])
@pytest.mark.parametrize("pattern", ["*", "**"])
def test_corners__of_musl__then_counts_are_exact(build, flightrec, linkage, pattern):
    program = build("libc_corners.c", linkage, *(["-static"] if linkage == "static" else []))
    calls, _ = record(flightrec, [str(program)], pattern)
    assert {name: calls.get(name) for name in CALLS} == CALLS
    # musl's own sort asks as often each time.
    assert calls["compare_numbers"] == 22091
    own = {"pthread_create", "pthread_cancel", "raise"}
    assert (own <= calls.keys()) == (pattern == "**" or linkage == "static")


def test_library__that_musl_loads_later__then_is_hooked(build, flightrec):
    program = build("libc_corners.c", "loads")
    library = build("libc_plugin.c", "libplugin.so", "-shared", "-fPIC")
    calls, _ = record(flightrec, [str(program), str(library)], "main,libplugin.so:*")
    assert calls == {"main": 1, "plugin_twice": 1000}


def test_plan__of_a_dynamic_program__then_its_c_library_is_its_loader(build, flightrec):
    program = build("libc_corners.c", "planned")
    plan = rows(flightrec("plan", "--output=tsv", "-f", "libc.so:*", "--", str(program)))
    hooked = sum(int(row["functions"]) for row in plan if row["fate"] == "hooked")
    assert hooked > 1000
    assert {"SAVES_CONTEXT", "RETURNS_TWICE"} <= {row["how"] for row in plan}


def test_plan__of_a_static_program__then_its_cancellation_point_stays_as_it_is(build, flightrec):
    program = build("libc_corners.c", "planned_static", "-static")
    plan = rows(flightrec("plan", "--output=tsv", "--", str(program)))
    reasons = {row["how"]: row["examples"] for row in plan}
    assert reasons["CANCELLATION_POINT"] == "__syscall_cp_asm"
    assert "_start_c" in reasons["PROGRAM_ENTRY"]
