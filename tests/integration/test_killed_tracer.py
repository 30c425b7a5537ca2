"""A tracer is killed at any moment: the target runs on, and afterwards it is recorded on or as it was.

FLIGHTREC_LONG=1: 100 rounds.
"""

import contextlib
import os
import pathlib
import random
import signal
import subprocess

import pytest

ROUNDS = 100 if os.environ.get("FLIGHTREC_LONG") else 6
PHASES = ["attach", "recording", "detach"]
STATE = pathlib.Path(f"/dev/shm/flightrec-{os.geteuid()}")
END_SECONDS = 120
# What a command line needs from its start to the end of the phase, at the most.
ATTACH_SECONDS = 0.6
RECORDING_SECONDS = 0.5
DETACH_SECONDS = 0.25


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

    def check_clean(self):
        assert self._read_code() == self._code
        assert self._open_files() == self._files
        maps = self._maps()
        assert ".lane" not in maps
        # Nothing of a program is executable without a file.
        assert [line for line in maps.splitlines() if "r-xp" in line and len(line.split()) < 6] == []
        assert list(STATE.glob(f"*/{self.pid}-*")) == []

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
    def __init__(self, repository, store):
        self._command = repository / "bazel-bin/services/flightrec/flightrec"
        self._store = f"--store={store}"

    def ask(self, command, *arguments):
        return subprocess.run([self._command, command, self._store, *arguments], capture_output=True, text=True,
                              timeout=END_SECONDS, check=False)

    def attach(self, pid):
        return subprocess.Popen([self._command, "attach", self._store, str(pid)], stderr=subprocess.PIPE, text=True)

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
def laptop(repository, tmp_path):
    return Laptop(repository, tmp_path / "store")


@pytest.fixture
def program(target):
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
            program.check_clean()
        except AssertionError as error:
            raise AssertionError(f"{where}: {cleaned}") from error
    assert set(laptop.states()) <= {"SEALED", "FAILED"}
    program.end()


def test_tracer__killed_and_started_again__then_the_recording_goes_on_until_it_is_stopped(laptop, program, target,
                                                                                          tmp_path):
    tracer = laptop.attach(program.pid)
    kill_in("recording", tracer, random.Random(1))
    program.tell("c")
    # Any tracer of the store takes over; this one ends with the program it has started.
    other = subprocess.run([laptop._command, "run", laptop._store, "-f", "main", "--", target("exits_with"), "0"],
                           capture_output=True, text=True, timeout=END_SECONDS, check=False)
    assert other.returncode == 0, other.stderr
    program.check_works()
    program.check_clean()
    assert laptop.states().count("SEALED") == 2
    program.end()


def test_target__ended_after_its_tracer__then_what_its_lanes_had_is_in_the_recording(laptop, program):
    kill_in("recording", laptop.attach(program.pid), random.Random(2))
    program.tell("c")
    program.end()
    cleaned = laptop.clean()
    assert f"process {program.pid} has ended" in cleaned
    assert laptop.states() == ["SEALED"]
    assert list(STATE.glob(f"*/{program.pid}-*")) == []
