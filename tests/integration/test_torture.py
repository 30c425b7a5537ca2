"""Every case of the torture program behaves as without hooks, and each of its calls is counted."""

import contextlib
import copy
import csv
import io
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import torture

TABLE = torture.read_table()
EVERYTHING = {name for functions in TABLE.values() for name in functions}
DEFAULT_VARIANTS = ("plain",)
VARIANTS = tuple(torture.VARIANTS) if os.environ.get("FLIGHTREC_LONG") else DEFAULT_VARIANTS
NOT_HANDLERS = ("-f", "*", "-f", "!*Unhooked*")
ENDS_BY_SIGNAL = ("crash", "exception_uncaught")
# No call is lost even if nobody drains meanwhile, the C++ library's own in a static program included.
LANES = ("--lane_bytes=16777216",)
OPTIONS = {
    "exception_catch": ("--max_threads=8", "--lane_bytes=67108864"),
    "exception_rethrow": ("--max_threads=8", "--lane_bytes=67108864"),
    "step_exit_thread": ("--max_threads=256", "--lane_bytes=1048576"),
}
COUNTS = """
SELECT name, sum(recorded) AS recorded, sum(open) AS open, sum(lost) AS lost FROM (
  SELECT function_id, count(duration_ns) AS recorded, count(*) - count(duration_ns) AS open, 0 AS lost
    FROM calls GROUP BY 1
  UNION ALL SELECT function_id, 0, 0, calls FROM lost_calls)
JOIN functions USING (function_id) GROUP BY 1
"""


@pytest.fixture(scope="session", params=VARIANTS)
def program(request, tmp_path_factory):
    return torture.build(request.param, tmp_path_factory.mktemp("torture"))


def run(command):
    ran = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)
    return (128 - ran.returncode if ran.returncode < 0 else ran.returncode), ran.stdout, ran.stderr


def function_name(name):
    """Without what the compiler adds to the names of C functions."""
    return re.sub(r"(\.| \[clone \.)(lto_priv|\d).*", "", name)


def counted_calls(flightrec, store):
    code, output, errors = run([flightrec, "sql", store, "--output=tsv", "--limit=100000", "@latest", COUNTS])
    assert code == 0, errors
    counts = {}
    for row in csv.DictReader(io.StringIO(output), delimiter="\t", quoting=csv.QUOTE_NONE):
        total = counts.setdefault(function_name(row["name"]), [0, 0, 0])
        for i, column in enumerate(("recorded", "open", "lost")):
            total[i] += int(row[column])
    return counts


def differences(expected, counts):
    """One line for each function whose calls are not what they must be."""
    for function in sorted(EVERYTHING):
        recorded, left_open, lost = counts.get(function, [0, 0, 0])
        wanted = expected.get(function, torture.Expected(0, 0))
        found = f"{function}: {recorded} recorded, {left_open} open, {lost} lost; expected {wanted}"
        if not wanted.least <= recorded + left_open + lost <= wanted.most:
            yield found
        elif wanted.open not in (None, left_open) or wanted.lost not in (None, lost):
            yield found


@pytest.mark.parametrize("case", TABLE)
def test_torture(repository, tmp_path, program, case):
    flightrec = repository / "bazel-bin/services/flightrec/flightrec"
    store = f"--store={tmp_path / 'store'}"
    plain = run([program, case])
    hooked = run([flightrec, "run", store, *NOT_HANDLERS, *OPTIONS.get(case, LANES), "--", program, case,
                  tmp_path / "counts"])
    assert hooked[:2] == plain[:2], hooked[2]
    if hooked[1].startswith("skipped: "):
        pytest.skip(hooked[1].strip())
    if plain[0] > 128 and case not in ENDS_BY_SIGNAL:
        pytest.skip(f"this build ends with {plain[0]} without hooks too")
    expected = copy.deepcopy(TABLE[case])
    torture.apply_counts_file(expected, tmp_path / "counts")
    found = counted_calls(flightrec, store)
    assert list(differences(expected, found)) == []


def program_under(process):
    """The traced program, which `flightrec run` has started."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").parent.parent.glob("*/children")
    return [pid for file in children for pid in file.read_text(encoding="ascii").split()][0]


READERS = {
    "gdb": lambda pid, folder: ["gdb", "-batch", "-nx", "-p", pid, "-ex", "bt"],
    "perf": lambda pid, folder: ["perf", "record", "-q", "-g", "-o", folder / "perf.data", "-p", pid, "sleep", "0.3"],
}


@pytest.mark.parametrize("reader", READERS)
def test_torture__others_read_the_stack_meanwhile__then_unharmed(repository, tmp_path, program, reader):
    if shutil.which(reader) is None:
        pytest.skip(f"{reader} is not installed")
    flightrec = repository / "bazel-bin/services/flightrec/flightrec"
    store, counts = f"--store={tmp_path / 'store'}", tmp_path / "counts"
    with subprocess.Popen([flightrec, "run", store, "--", program, "stack_watched", counts], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as hooked:
        assert hooked.stdout.readline() == "working\n"
        command = READERS[reader](program_under(hooked), tmp_path)
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as reading:
            while reading.poll() is None:
                hooked.stdin.write("x")  # a thousand calls
                hooked.stdin.flush()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    reading.wait(timeout=0.002)
            assert reading.returncode == 0
        output, errors = hooked.communicate(timeout=60)
        assert (hooked.returncode, output) == (0, "10\n"), errors
    expected = copy.deepcopy(TABLE["stack_watched"])
    torture.apply_counts_file(expected, counts)
    assert expected["Leaf"].most > 0
    assert list(differences(expected, counted_calls(flightrec, store))) == []
