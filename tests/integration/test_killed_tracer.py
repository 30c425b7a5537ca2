"""A tracer is killed at any moment: the target runs on, and afterwards it is recorded on or as it was.

FLIGHTREC_LONG=1: 100 rounds.
"""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile

import pytest

ROUNDS = 100 if os.environ.get("FLIGHTREC_LONG") else 6
PHASES = ["attach", "recording", "detach"]
END_SECONDS = 120
# What a command line needs from its start to the end of the phase, at the most.
ATTACH_SECONDS = 0.6
RECORDING_SECONDS = 0.5
DETACH_SECONDS = 0.25
LAUNCH_SECONDS = 0.4


class Target:
    """16 threads that check what they compute, three that wait inside a hooked function."""

    def __init__(self, program):
        self._process = subprocess.Popen([program, "16", "2000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         text=True)
        self.pid = self._process.pid
        assert self._process.stdout.readline() == "ready\n"
        assert self.tell("h") == "holding"
        self.tell("c")
        self._code = self._read_code()
        self._files = self._open_files()

    def tell(self, letter):
        self._process.stdin.write(letter)
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def check_works(self):
        assert self.tell("c").startswith("called")
        assert self.tell("r") == "wrong 0"

    def check_hooked_code(self, journal):
        """Where hooks were is what the journal says was there before."""
        lines = [line.split(" ") for line in journal.splitlines()]
        hooks = {int(line[1], 16): bytes.fromhex(line[2]) for line in lines if line[0] == "text"}
        assert len(hooks) > 10
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            for address, original in hooks.items():
                memory.seek(address)
                assert memory.read(len(original)) == original, hex(address)

    def check_clean(self, state):
        """`state`: where its tracer had its state, or the folder of such ones."""
        assert self._read_code() == self._code
        assert self._open_files() == self._files
        maps = self._maps()
        assert ".lane" not in maps
        # Nothing of a program is executable without a file.
        assert [line for line in maps.splitlines() if "r-xp" in line and len(line.split()) < 6] == []
        assert list(state.rglob(f"{self.pid}-*")) == []

    def end(self):
        self._process.stdin.close()
        assert self._process.stdout.read().strip() == "wrong 0"
        assert self._process.wait(timeout=60) == 0

    def kill(self):
        self._process.kill()
        self._process.wait()

    def _maps(self):
        return pathlib.Path(f"/proc/{self.pid}/maps").read_text(encoding="utf-8")

    def _read_code(self):
        code = {}
        with open(f"/proc/{self.pid}/mem", "rb") as memory:
            for line in self._maps().splitlines():
                fields = line.split(maxsplit=5)
                if "x" not in fields[1] or fields[-1] == "[vsyscall]":
                    continue
                low, high = (int(part, 16) for part in fields[0].split("-"))
                memory.seek(low)
                code[fields[0]] = memory.read(high - low)
        return code

    def _open_files(self):
        return sorted((path.name, os.readlink(path)) for path in pathlib.Path(f"/proc/{self.pid}/fd").iterdir())


class Laptop:
    def __init__(self, repository, store, state):
        self._command = repository / "bazel-bin/services/flightrec/flightrec"
        self._flags = [f"--store={store}", f"--state_dir={state}"]
        self.state = state

    def ask(self, command, *arguments):
        return subprocess.run([self._command, command, *self._flags, *arguments], capture_output=True, text=True,
                              timeout=END_SECONDS, check=False)

    def attach(self, pid):
        return subprocess.Popen([self._command, "attach", *self._flags, str(pid)], stderr=subprocess.PIPE, text=True)

    def run(self, *command):
        """The program is its child, with its input and output."""
        return subprocess.Popen([self._command, "run", *self._flags, "--", *command], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def clean(self):
        cleaned = self.ask("clean")
        assert cleaned.returncode == 0, cleaned.stdout + cleaned.stderr
        return cleaned.stdout

    def states(self):
        listed = self.ask("recordings", "--output=tsv")
        assert listed.returncode == 0, listed.stderr
        rows = [line.split("\t") for line in listed.stdout.splitlines()]
        return [row[rows[0].index("state")] for row in rows[1:]]


@pytest.fixture
def state():
    """Lanes need tmpfs."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="flightrec-killed-", dir="/dev/shm"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def laptop(repository, tmp_path, state):
    return Laptop(repository, tmp_path / "store", state)


@pytest.fixture
def program(target):
    started = Target(target("attachable"))
    yield started
    started.kill()


@pytest.fixture
def other_program(target):
    started = Target(target("attachable"))
    yield started
    started.kill()


def kill_in(phase, tracer, chance):
    if phase == "attach":
        let_run(tracer, chance.uniform(0, ATTACH_SECONDS))
    else:
        assert "recording process" in tracer.stderr.readline()
        let_run(tracer, chance.uniform(0, RECORDING_SECONDS))
    if phase == "detach":
        tracer.send_signal(signal.SIGINT)
        let_run(tracer, chance.uniform(0, DETACH_SECONDS))
    tracer.kill()
    tracer.communicate()


def let_run(tracer, seconds):
    """Until the moment of its death, unless it has ended before."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        tracer.wait(timeout=seconds)


@pytest.mark.parametrize("phase", PHASES)
def test_tracer__killed_at_random_points__then_the_target_lives_and_a_clean_leaves_nothing(laptop, program, phase):
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for number in range((ROUNDS + 2) // 3):
        where = f"seed {seed}, round {number}"
        kill_in(phase, laptop.attach(program.pid), chance)
        program.check_works()
        cleaned = laptop.clean()
        program.check_works()
        try:
            program.check_clean(laptop.state)
        except AssertionError as error:
            raise AssertionError(f"{where}: {cleaned}") from error
    assert set(laptop.states()) <= {"SEALED", "FAILED"}
    program.end()


def test_run__killed_at_random_points__then_the_program_runs_on_or_has_never_begun(laptop, target):
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for number in range((ROUNDS + 2) // 3):
        run = laptop.run(target("attachable"), "16", "2000")
        let_run(run, chance.uniform(0, LAUNCH_SECONDS))
        run.kill()
        run.wait()
        first = run.stdout.readline()
        assert first in ("", "ready\n")
        cleaned = laptop.clean()
        where = f"seed {seed}, round {number}: {cleaned}"
        if first:
            run.stdin.write("c")
            run.stdin.flush()
            assert run.stdout.readline().startswith("called"), where
            run.stdin.close()
            assert run.stdout.readline() == "wrong 0\n", where
        # The program has ended: nobody else writes there.
        assert run.stdout.read() == "", where
        assert [path for path in laptop.state.rglob("*") if path.is_file()] == [], where
    assert set(laptop.states()) <= {"SEALED", "FAILED"}


def test_tracer__killed_and_another_runs_a_program__then_the_recording_goes_on_until_that_ends(laptop, program, target):
    tracer = laptop.attach(program.pid)
    kill_in("recording", tracer, random.Random(1))
    program.tell("c")
    # Any tracer of the store takes over; this one ends with the program it has started.
    other = laptop.ask("run", "-f", "main", "--", target("exits_with"), "0")
    assert other.returncode == 0, other.stderr
    program.check_works()
    program.check_clean(laptop.state)
    assert laptop.states().count("SEALED") == 2
    program.end()


def test_target__ended_after_its_tracer__then_what_its_lanes_had_is_in_the_recording(laptop, program):
    kill_in("recording", laptop.attach(program.pid), random.Random(2))
    program.tell("c")
    program.end()
    cleaned = laptop.clean()
    assert f"process {program.pid} has ended" in cleaned
    assert laptop.states() == ["SEALED"]
    assert list(laptop.state.rglob(f"{program.pid}-*")) == []


def test_recording_of_another_store__then_clean_takes_its_hooks_out_and_leaves_its_calls_to_that_one(
        laptop, program, repository, tmp_path):
    kill_in("recording", laptop.attach(program.pid), random.Random(3))
    program.tell("c")
    other = Laptop(repository, tmp_path / "other", laptop.state)
    cleaned = other.clean()
    assert f"process {program.pid}: no hooks are left; its calls are for store {tmp_path}/store" in cleaned
    program.check_works()
    assert other.states() == []
    assert list(laptop.state.rglob(f"{program.pid}-*.lane")) != []
    laptop.clean()
    assert laptop.states() == ["SEALED"]
    program.check_works()
    program.check_clean(laptop.state)
    program.end()


@pytest.mark.parametrize("command", [["ps"], ["plan", "--", "/bin/true"]])
def test_command_that_only_looks__then_the_recording_of_a_killed_tracer_stays_as_it_is(laptop, program, command):
    kill_in("recording", laptop.attach(program.pid), random.Random(4))
    before = sorted(laptop.state.rglob(f"{program.pid}-*"))
    looked = laptop.ask(*command)
    assert looked.returncode == 0, looked.stderr
    assert sorted(laptop.state.rglob(f"{program.pid}-*")) == before
    assert f"process {program.pid}: hooks are out, it runs on" in laptop.clean()
    program.check_clean(laptop.state)
    program.end()


def test_tracer_service__killed_and_restarted__then_goes_on_with_who_lives_and_collects_who_has_ended(
        services, program, other_program):
    def ask(method, request, **how):
        return services.call("tracer", f"flightrec.capture.v1.CaptureService/{method}", request, control=True, **how)

    attached = [ask("Attach", {"pid": traced.pid, "probes": {"patterns": ["**"]}})["recording"]["name"]
                for traced in (program, other_program)]
    services.kill("tracer")
    program.tell("c")
    other_program.end()
    services.start("tracer")
    program.check_works()
    # The stream ends with the recording.
    ask("WatchRecording", {"recording": attached[1]}, stream=True)
    known = {capture["recording"]["name"]: capture["recording"]["state"] for capture in ask("ListCaptures", {})["captures"]}
    assert known == {attached[0]: "RECORDING_STATE_RECORDING", attached[1]: "RECORDING_STATE_SEALED"}
    stopped = ask("StopRecording", {"recording": attached[0]})["recording"]
    assert stopped["state"] == "RECORDING_STATE_SEALED"
    program.check_works()
    program.check_clean(services.control_token_file.parent)
    program.end()


def as_version_1(journal):
    """As a tracer wrote it that knew less: memory once it was mapped, and what all of it is for."""
    lines = [line.split(" ") for line in journal.splitlines()]
    mapped = {line[1] for line in lines if line[0] == "mapped"}
    older = ["flightrec-hooks 1"]
    for kind, *words in lines[1:]:
        if kind == "process":
            older.append(" ".join([kind, *words]))
        elif kind in ("code", "data") and words[0] in mapped:
            older.append(" ".join(["memory", *words]))
        elif kind == "agent":
            older.append(" ".join([kind, words[1], words[2]]))
        elif kind in ("text", "lookup"):
            older.append(" ".join(["text", *words]))
    return "\n".join([*older, ""])


def rewrite_journal(state, pid, change):
    [journal] = state.rglob(f"{pid}-*.hooks")
    content = change(journal.read_text(encoding="ascii"))
    journal.write_text(content, encoding="ascii")
    return content


def test_killed_tracer_of_an_older_version__then_a_clean_leaves_nothing(laptop, program):
    kill_in("recording", laptop.attach(program.pid), random.Random(5))
    rewrite_journal(laptop.state, program.pid, as_version_1)
    assert f"process {program.pid}: hooks are out, it runs on" in laptop.clean()
    program.check_works()
    program.check_clean(laptop.state)
    assert laptop.states() == ["SEALED"]
    program.end()


def test_killed_tracer_of_a_newer_version__then_a_clean_takes_the_hooks_out_and_says_what_stays(laptop, program):
    kill_in("recording", laptop.attach(program.pid), random.Random(6))
    journal = rewrite_journal(laptop.state, program.pid, lambda text: text.replace("\nagent 1 ", "\nagent 1000 "))
    cleaned = laptop.ask("clean")
    assert cleaned.returncode == 1, cleaned.stdout
    assert "has an agent of version 1000, this tracer knows up to 1; its hooks are out" in cleaned.stdout
    program.check_hooked_code(journal)
    program.check_works()
    program.end()
