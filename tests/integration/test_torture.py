"""Every case of the torture program behaves as without hooks, and each of its calls is counted."""

import contextlib
import copy
import csv
import dataclasses
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
LONG = bool(os.environ.get("FLIGHTREC_LONG"))
VARIANTS = tuple(torture.VARIANTS) if LONG else DEFAULT_VARIANTS
# Attached to without FLIGHTREC_LONG: some of each kind.
ATTACHED_CASES = tuple(TABLE) if LONG else (
    "exception_catch", "exception_forced", "longjmp", "longjmp_off_signal_stack", "tail_call", "registers_vector",
    "ucontext", "stack_migration", "cpp_coroutine", "fork_in_thread", "vfork", "exec_with_threads", "signal_stack",
    "signal_timer", "backtrace", "recursion", "step_throw", "step_switch", "thread_many", "thread_cancel",
    "thread_beyond_limit", "lifetime", "crash")
NOT_HANDLERS = ("-f", "*", "-f", "!*Unhooked*")
ENDS_BY_SIGNAL = ("crash", "exception_uncaught")
# Functions that must be refused by name are in these libraries.
LIBRARIES = ("-f", "libc.so*:*", "-f", "libgcc_s*:*")
THROUGH_LIBRARIES = (
    "longjmp", "longjmp_levels", "ucontext", "vfork", "posix_spawn", "exec_fails", "clone_with_memory",
    "exception_catch", "exception_forced", "thread_cancel", "signal_stack", "backtrace", "step_backtrace")
# No call is lost even if nobody drains meanwhile, the C++ library's own in a static program included.
LANES = ("--lane_bytes=16777216",)
OPTIONS = {
    "exception_catch": ("--max_threads=8", "--lane_bytes=67108864"),
    "exception_rethrow": ("--max_threads=8", "--lane_bytes=67108864"),
    "step_exit_thread": ("--max_threads=160", "--lane_bytes=8388608"),
    "thread_beyond_limit": ("--max_threads=4", *LANES),
}
CHILDREN = {
    "fork": "1 child not traced: fork 1",
    "fork_in_thread": "10 children not traced: fork 10",
    "vfork": "110 children not traced: vfork 110",
    "posix_spawn": "41 children not traced: posix_spawn 41",
    "daemon": "1 child not traced: fork 1",
}
# Threads that have calls, each in its own lane.
THREADS = {
    "registers_general": 2,
    "registers_vector": 2,
    "fork_in_thread": 11,
    "signal_stack_above": 2,
    "recursion": 2,
    "thread_many": 41,
    "thread_series": 51,
    "thread_exit": 11,
    "thread_cancel": 11,
    "thread_detached": 21,
    "thread_exceptions": 5,
    "thread_destructors": 11,
    "thread_own_stack": 21,
    "thread_beyond_limit": 4,
    "thread_main_exits": 2,
}
IS_REPLACED = {
    "exec": "true",
    "exec_with_threads": "true",
    "exec_fails": "false",
    "vfork": "false",
    "posix_spawn": "false",
}
COUNTS = """
SELECT called.name AS name, coalesce(caller.name, '') AS caller, sum(recorded) AS recorded, sum(open) AS open,
    sum(lost) AS lost, bool_or(too_early) AS too_early FROM (
  SELECT function_id, path_id, count(duration_ns) AS recorded, count(*) - count(duration_ns) AS open, 0 AS lost,
      min(start_ns) < (SELECT start_ns - 1000000000 FROM processes) AS too_early
    FROM calls GROUP BY 1, 2
  UNION ALL SELECT function_id, NULL, 0, 0, calls, false FROM lost_calls) AS counted
JOIN functions AS called USING (function_id)
LEFT JOIN paths AS path ON path.path_id = counted.path_id
LEFT JOIN paths AS parent ON parent.path_id = path.parent_path_id
LEFT JOIN functions AS caller ON caller.function_id = parent.function_id
GROUP BY 1, 2
"""
# What has run before a tracer attaches to a program that waits in main, by case; `*`: in all.
BEFORE_MAIN = {
    "*": {"RunsBeforeMain": 1, "GlobalMade": 2},
    "lifetime": {"BeforeMain": 1, "ThrowAt": 3, "Cleanup": 3, "Leaf": 4},
}
# g++ 10 destroys one of a coroutine's objects twice.
MORE_CALLS = {("debian_11", "cpp_coroutine"): {"Cleanup": 20, "Leaf": 20}}
# These end the program, count on from run to run, or read its input themselves.
NOT_REPEATED = {
    "exception_noexcept", "exception_uncaught", "lifetime", "exit_in_handler", "quick_exit", "crash", "exec",
    "exec_with_threads", "thread_main_exits", "longjmp_levels", "stack_migration", "stack_migration_first",
    "thread_detached", "stack_watched"}
# Old return addresses in an array of a frame that lives look like calls of ours: then memory may stay.
SIGNAL_STACK_ON_STACK = ("signal_stack_above", "signal_stack_inside_stack")
REPLACED = "SELECT exit_code IS NULL AND signal IS NULL AS answer FROM processes"
LANES_USED = "SELECT count(DISTINCT thread_id) AS answer FROM calls"


@pytest.fixture(scope="session", params=VARIANTS)
def program(request, tmp_path_factory):
    return torture.build(request.param, tmp_path_factory.mktemp("torture"))


def run(command):
    ran = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)
    return (128 - ran.returncode if ran.returncode < 0 else ran.returncode), ran.stdout, ran.stderr


def function_name(name):
    """Without what the compiler adds to the names of C functions."""
    return re.sub(r"(\.| \[clone \.)(lto_priv|\d).*", "", name)


def ask(flightrec, store, question):
    code, output, errors = run([flightrec, "sql", store, "--output=tsv", "--limit=100000", "@latest", question])
    assert code == 0, errors
    return csv.DictReader(io.StringIO(output), delimiter="\t", quoting=csv.QUOTE_NONE)


@dataclasses.dataclass
class Found:
    """What the recording has of one function; callers without those that are not in the table."""

    recorded: int = 0
    open: int = 0
    lost: int = 0
    too_early: bool = False  # one started a second before the process or more
    callers: set = dataclasses.field(default_factory=set)


def counted_calls(flightrec, store):
    counts = {}
    for row in ask(flightrec, store, COUNTS):
        found = counts.setdefault(function_name(row["name"]), Found())
        found.recorded += int(row["recorded"])
        found.open += int(row["open"])
        found.lost += int(row["lost"])
        found.too_early |= row["too_early"] == "true"
        if function_name(row["caller"]) in EVERYTHING:
            found.callers.add(function_name(row["caller"]))
    return counts


def differences(expected, counts):
    """One line for each function whose calls are not what they must be."""
    for function in sorted(EVERYTHING):
        found = counts.get(function, Found())
        wanted = expected.get(function, torture.Expected(0, 0))
        right = [
            wanted.least <= found.recorded + found.open + found.lost <= wanted.most,
            wanted.recorded in (None, found.recorded),
            wanted.open in (None, found.open),
            wanted.lost in (None, found.lost),
            wanted.callers is None or found.callers <= wanted.callers,
            not found.too_early,
        ]
        if not all(right):
            yield f"{function}: {found}; expected {wanted}"


def hook_options(case):
    return (*NOT_HANDLERS, *OPTIONS.get(case, LANES))


def variant_of(program):
    return program.name.removeprefix("torture-")


def expected_calls(program, case, counts_file, attached):
    expected = copy.deepcopy(TABLE[case])
    torture.apply_counts_file(expected, counts_file)
    changes = [(1, MORE_CALLS.get((variant_of(program), case), {}))]
    if attached:
        changes += [(-1, BEFORE_MAIN.get(group, {})) for group in ("*", case)]
    for sign, functions in changes:
        for function, calls in functions.items():
            expected[function].least += sign * calls
            expected[function].most += sign * calls
    return expected


def problems(flightrec, store, case, expected, errors):
    """What the recording of a case has that it must not have, one line each."""
    found = list(differences(expected, counted_calls(flightrec, store)))
    children = " ".join(re.findall(r"\d+ child.* not traced.*", errors))
    if children != CHILDREN.get(case, ""):
        found.append(f"children: {children}")
    for question, answers in ((REPLACED, IS_REPLACED), (LANES_USED, THREADS)):
        if case in answers:
            answer = [row["answer"] for row in ask(flightrec, store, question)]
            if answer != [str(answers[case])]:
                found.append(f"{question}: {answer}; expected {answers[case]}")
    return found


def run_attached(attach, command):
    """A program that waits in main, attached to and let go on: as run has it, with the tracer's errors."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout.readline() == "ready\n"
        with subprocess.Popen([*attach, str(program.pid)], stderr=subprocess.PIPE, text=True) as tracer:
            first = tracer.stderr.readline()
            assert "recording process" in first, first
            output, _ = program.communicate("x", timeout=60)
            _, errors = tracer.communicate(timeout=60)
            assert tracer.returncode == 0, errors
    code = program.returncode
    return (128 - code if code < 0 else code), output, errors


def check(repository, tmp_path, program, case, options, attached=False):
    flightrec = repository / "bazel-bin/services/flightrec/flightrec"
    store = f"--store={tmp_path / 'store'}"
    plain = run([program, case])
    if attached:
        hooked = run_attached([flightrec, "attach", store, *options], [program, case, tmp_path / "counts", "wait"])
    else:
        hooked = run([flightrec, "run", store, *options, "--", program, case, tmp_path / "counts"])
    assert hooked[:2] == plain[:2], hooked[2]
    if hooked[1].startswith("skipped: "):
        pytest.skip(hooked[1].strip())
    if plain[0] > 128 and case not in ENDS_BY_SIGNAL:
        pytest.skip(f"this build ends with {plain[0]} without hooks too")
    expected = expected_calls(program, case, tmp_path / "counts", attached)
    assert problems(flightrec, store, case, expected, hooked[2]) == []


@pytest.mark.parametrize("case", TABLE)
def test_torture(repository, tmp_path, program, case):
    check(repository, tmp_path, program, case, hook_options(case))


@pytest.mark.parametrize("case", ATTACHED_CASES)
def test_torture__attached_to_when_it_runs__then_the_same(repository, tmp_path, program, case):
    check(repository, tmp_path, program, case, hook_options(case), attached=True)


@pytest.mark.parametrize("case", [case for case in ATTACHED_CASES if case not in NOT_REPEATED])
def test_torture__attached_to_and_left_in_its_middle__then_it_does_the_same(repository, tmp_path, program, case):
    flightrec = repository / "bazel-bin/services/flightrec/flightrec"
    plain = run([program, case])
    if plain[1].startswith("skipped: ") or plain[0] > 128:
        pytest.skip(f"does not run in this build: {plain}")
    output = tmp_path / "output"
    with open(output, "wb") as file, \
            subprocess.Popen([program, case, tmp_path / "counts", "again"], stdin=subprocess.PIPE, stdout=file,
                             stderr=subprocess.DEVNULL) as running:
        while output.stat().st_size < len("ready\n"):
            assert running.poll() is None
        for _ in range(2):
            attached = run([flightrec, "attach", f"--store={tmp_path / 'store'}", "--duration=100ms",
                            *hook_options(case), str(running.pid)])
            assert attached[0] == 0, attached[2]
            assert case in SIGNAL_STACK_ON_STACK or "still in process" not in attached[2]
        running.communicate(b"x", timeout=60)
    lines = output.read_text(encoding="utf-8").removeprefix("ready\n")
    times = len(lines) // len(plain[1])
    assert running.returncode == plain[0]
    assert times > 0 and lines == plain[1] * times


@pytest.mark.skipif(len(VARIANTS) > 1, reason="among the variants")
def test_torture__unwinder_comes_later__then_it_crosses_every_instruction(repository, tmp_path):
    # backtrace() of the C library loads libgcc_s, which this build does not need itself.
    program = torture.build("static_libgcc", tmp_path)
    check(repository, tmp_path, program, "step_backtrace", hook_options("step_backtrace"))


@pytest.mark.parametrize("attached", (False, True) if LONG else (False,), ids=("launched", "attached")[:1 + LONG])
@pytest.mark.parametrize("case", THROUGH_LIBRARIES)
def test_torture__libraries_hooked_too__then_the_same(repository, tmp_path, program, case, attached):
    variant = variant_of(program)
    if variant != "plain" and not torture.VARIANTS[variant].release:
        pytest.skip("its libraries are those of the plain program, if it has any")
    check(repository, tmp_path, program, case, (*hook_options(case), *LIBRARIES), attached)


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
