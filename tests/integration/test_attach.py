"""`flightrec attach`: a process that runs already is recorded and left as it was."""

import csv
import ctypes
import io
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import time

import pytest


class Running:
    """A program that was started before any tracer."""

    def __init__(self, command, prepare=None):
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         preexec_fn=prepare)
        self.pid = self._process.pid
        assert self._process.stdout.readline() == "ready\n"

    def tell(self, letter):
        self._process.stdin.write(letter)
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def end(self):
        """What it says at its end, and its exit code."""
        output, _ = self._process.communicate(timeout=60)
        return output.strip(), self._process.returncode

    def kill(self):
        self._process.kill()
        self._process.communicate()

    def changed_code(self):
        """Executable mappings whose bytes are not those of their files."""
        changed = []
        for line in pathlib.Path(f"/proc/{self.pid}/maps").read_text(encoding="utf-8").splitlines():
            fields = line.split(maxsplit=5)
            if "x" not in fields[1] or len(fields) < 6 or not fields[5].startswith("/"):
                continue
            low, high = (int(part, 16) for part in fields[0].split("-"))
            with open(f"/proc/{self.pid}/mem", "rb") as memory, \
                    open(f"/proc/{self.pid}/map_files/{low:x}-{high:x}", "rb") as file:
                memory.seek(low)
                file.seek(int(fields[2], 16))
                present = memory.read(high - low)
                if present != file.read(high - low).ljust(high - low, b"\0"):
                    changed.append(fields[5])
        return changed

    def mapped(self):
        return pathlib.Path(f"/proc/{self.pid}/maps").read_text(encoding="utf-8")

    def open_files(self):
        return sorted(path.name for path in pathlib.Path(f"/proc/{self.pid}/fd").iterdir())


class Laptop:
    def __init__(self, repository, store):
        self._command = repository / "bazel-bin/services/flightrec/flightrec"
        self._store = f"--store={store}"

    def ask(self, command, *arguments):
        return subprocess.run([self._command, command, self._store, *arguments], capture_output=True, text=True,
                              timeout=120, check=False)

    def attached(self, *arguments):
        return Attached(subprocess.Popen([self._command, "attach", self._store, *arguments], stderr=subprocess.PIPE,
                                         text=True))

    def counts(self):
        report = self.ask("report", "--output=tsv")
        assert report.returncode == 0, report.stderr
        rows = csv.DictReader(io.StringIO(report.stdout), delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["function"].split("(")[0]: int(row["calls"]) for row in rows}


class Attached:
    """`flightrec attach` while it records; leaving the block is Ctrl-C."""

    def __init__(self, process):
        self._process = process

    def __enter__(self):
        first = self._process.stderr.readline()
        assert "recording process" in first, first + self._process.stderr.read()
        return self

    def __exit__(self, *raised):
        self._process.send_signal(signal.SIGINT)
        _, errors = self._process.communicate(timeout=120)
        assert self._process.returncode == 0, errors


@pytest.fixture
def laptop(repository, tmp_path):
    return Laptop(repository, tmp_path / "store")


@pytest.fixture
def start():
    started = []

    def start_one(*command):
        started.append(Running(list(command)))
        return started[-1]

    yield start_one
    for program in started:
        program.kill()


def test_attach__calls_that_begin_afterwards__then_all_are_recorded_and_nothing_is_left(laptop, target, start):
    program = start(target("attachable"), "1")
    program.tell("c")
    before, files = program.mapped(), program.open_files()
    with laptop.attached("-f", "AttOnce", str(program.pid)):
        program.tell("c")
        program.tell("c")
        assert program.changed_code() != []
    assert program.changed_code() == []
    assert program.mapped() == before
    assert program.open_files() == files
    program.tell("c")
    assert laptop.counts() == {"AttOnce": 2000}
    assert program.end() == ("wrong 0", 0)


def test_attach__again_and_again_to_busy_threads__then_every_time_as_the_first(laptop, target, start):
    program = start(target("attachable"), "16", "10000")
    for _ in range(3):
        with laptop.attached(str(program.pid)):
            program.tell("c")
        assert program.changed_code() == []
        counts = laptop.counts()
        assert counts["AttOnce"] == 1000
        assert counts["AttLeaf"] > 0
    assert program.end() == ("wrong 0", 0)


def test_attach__threads_that_wait_inside_a_hooked_function__then_wait_on_and_return(laptop, target, start):
    program = start(target("attachable"), "2", "1000")
    with laptop.attached(str(program.pid)):
        assert program.tell("h") == "holding"
        program.tell("c")
    assert program.changed_code() == []
    with laptop.attached(str(program.pid)):
        program.tell("c")
    assert program.end() == ("wrong 0", 0)


def test_attach__thread_that_cannot_be_stopped_for_long__then_detaching_waits_for_it(laptop, target, start):
    program = start(target("attachable"), "1", "1000")
    with laptop.attached("-f", "Att*", str(program.pid)):
        program.tell("c")
        program.tell("v")
        children = pathlib.Path(f"/proc/{program.pid}/task")
        while not any((thread / "children").read_text(encoding="ascii") for thread in children.iterdir()):
            pass
    assert program.changed_code() == []
    assert ".lane" not in program.mapped()
    assert program.end() == ("wrong 0", 0)


def test_attach__256_threads__then_recorded(laptop, target, start):
    program = start(target("attachable"), "256", "100000")
    with laptop.attached("--max_threads=300", "-f", "Att*", str(program.pid)):
        program.tell("c")
    assert program.changed_code() == []
    assert laptop.counts()["AttOnce"] == 1000
    assert program.end() == ("wrong 0", 0)


VARIANTS = {"no_pie": ["-no-pie"], "stripped": ["-s"], "static": ["-static"], "static_stripped": ["-static", "-s"]}


@pytest.mark.parametrize("variant", VARIANTS)
def test_attach__program_of_another_kind__then_recorded_and_left_as_it_was(laptop, repository, start, tmp_path, variant):
    program = tmp_path / variant
    subprocess.run(["g++", "-O2", "-std=c++20", "-pthread", *VARIANTS[variant],
                    repository / "tests/targets/attachable.cc", "-o", program], check=True)
    running = start(program, "2", "10000")
    with laptop.attached(str(running.pid)):
        running.tell("c")
    assert running.changed_code() == []
    assert sum(laptop.counts().values()) >= 1000
    assert running.end() == ("wrong 0", 0)


def test_attach__executable_was_deleted_and_replaced__then_what_runs_is_recorded(laptop, target, start, tmp_path):
    program = tmp_path / "attachable"
    program.write_bytes(pathlib.Path(target("attachable")).read_bytes())
    program.chmod(0o755)
    running = start(program, "1")
    program.unlink()
    program.write_text("another file", encoding="utf-8")
    with laptop.attached("-f", "AttOnce", str(running.pid)):
        running.tell("c")
    assert running.changed_code() == []
    assert laptop.counts() == {"AttOnce": 1000}
    assert running.end() == ("wrong 0", 0)


def seccomp_filter(number):
    """A classic BPF program that kills for one system call, as prctl takes it."""
    steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7FFF0000)]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    return buffer, ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(buffer)))


@pytest.mark.parametrize("number,allowed", [(53, False), (186, False), (169, True)],
                         ids=["socketpair", "gettid", "reboot"])
def test_attach__seccomp_filter_that_kills__then_refused_before_anything_changes(laptop, target, number, allowed):
    steps, program = seccomp_filter(number)
    libc = ctypes.CDLL(None)

    def restrict():
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
        assert libc.prctl(22, 2, program) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER

    running = Running([target("attachable"), "0"], prepare=restrict)
    try:
        before = running.mapped()
        if allowed:
            with laptop.attached(str(running.pid)):
                pass
        else:
            refused = laptop.ask("attach", "-f", "*", str(running.pid))
            assert refused.returncode == 1
            assert "seccomp filter" in refused.stderr
        assert running.mapped() == before
        assert running.end()[1] == 0
    finally:
        running.kill()
    del steps


def test_attach__filter_that_kills_for_what_detaching_needs_comes_later__then_it_is_not_done(laptop, target):
    steps, program = seccomp_filter(169)
    libc = ctypes.CDLL(None)

    def restrict():
        assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
        assert libc.prctl(22, 2, program) == 0  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER

    running = Running([target("attachable"), "1"], prepare=restrict)
    try:
        with laptop.attached("-f", "AttOnce", str(running.pid)):
            running.tell("c")
            assert running.tell("f") == "restricted 1"
        # Its code has no hooks; memory that nothing leads to is left.
        assert running.changed_code() == []
        assert ".lane" in running.mapped()
        assert running.tell("c").startswith("called")
        assert running.tell("r") == "wrong 0"
        assert laptop.counts() == {"AttOnce": 1000}
    finally:
        running.kill()
    del steps


def test_attach__client_gives_up_meanwhile__then_nothing_is_left(tracer, target, start):
    program = start(target("attachable"), "4", "1000")
    before = program.mapped()
    asked = tracer.begin_attach(program.pid, "**")
    while ".lane" not in program.mapped():
        assert not asked.done()
    asked.cancel()
    deadline = time.monotonic() + 60
    while [capture.recording.state for capture in tracer.captures()] != [5]:  # sealed
        assert time.monotonic() < deadline
    assert program.mapped() == before
    assert program.changed_code() == []
    assert program.end() == ("wrong 0", 0)


def capture(services, method, request, call="call"):
    return getattr(services, call)("tracer", f"flightrec.capture.v1.CaptureService/{method}", request, control=True)


def test_attach__over_grpc__then_recorded_until_it_is_stopped(services, target, start):
    program = start(target("attachable"), "1", "10000")
    attached = capture(services, "Attach", {"pid": program.pid, "probes": {"patterns": ["AttOnce"]},
                                            "labels": {"why": "slow"}})
    recording = attached["recording"]
    assert attached["process"]["pid"] == program.pid
    assert recording["command"][0] == target("attachable")
    assert recording["labels"] == {"why": "slow"}
    program.tell("c")
    again = capture(services, "Attach", {"pid": program.pid}, call="call_error")
    assert again["code"] == "failed_precondition"
    stopped = capture(services, "StopRecording", {"recording": recording["name"], "terminateProgram": True})
    assert stopped["recording"]["state"] == "RECORDING_STATE_SEALED"
    assert stopped["recording"]["completeness"]["callsRecorded"] == "1000"
    assert program.changed_code() == []
    assert program.end() == ("wrong 0", 0)


def test_attach__program_that_ends__then_the_recording_ends_with_how_it_did(services, target, start):
    program = start(target("attachable"), "1", "10000")
    attached = capture(services, "Attach", {"pid": program.pid})
    assert program.end() == ("wrong 0", 0)
    states = services.call("tracer", "flightrec.capture.v1.CaptureService/WatchRecording",
                           {"recording": attached["recording"]["name"]}, control=True, stream=True)
    assert states[-1]["recording"]["state"] == "RECORDING_STATE_SEALED"
    assert "endTime" in states[-1]["processes"][0]["outcome"]


def test_launched_program__recording_stops__then_it_runs_on_without_hooks(services, target):
    launched = capture(services, "Launch", {"command": [target("leaf_loop"), "2000000000", "1"]})
    pid = launched["process"]["pid"]
    capture(services, "StopRecording", {"recording": launched["recording"]["name"]})
    maps = pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    assert "leaf_loop" in maps and ".lane" not in maps
    os.kill(pid, signal.SIGKILL)


def test_attach__no_such_process__then_says_so(laptop):
    refused = laptop.ask("attach", "4194303")
    assert refused.returncode == 1
    assert "4194303" in refused.stderr


def test_attach__a_program_by_its_name__then_that_one_is_recorded(laptop, target, start, tmp_path):
    named = shutil.copy(target("attachable"), tmp_path / "only-one-of-it")
    program = start(str(named), "1")
    with laptop.attached("-f", "AttOnce", "only-one-of-it"):
        program.tell("c")
    assert laptop.counts() == {"AttOnce": 1000}
    start(str(named), "1")
    refused = laptop.ask("attach", "only-one-of-it")
    assert refused.returncode == 1
    assert str(program.pid) in refused.stderr


def test_attach__a_name_that_nothing_has__then_says_so(laptop):
    refused = laptop.ask("attach", "no-such-container")
    assert refused.returncode == 1
    assert "no-such-container" in refused.stderr
