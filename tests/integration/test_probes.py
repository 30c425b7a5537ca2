"""Functions are hooked and unhooked while their program runs; libraries that it loads are hooked too."""

import contextlib
import csv
import io
import pathlib
import subprocess

import pytest


class Laptop:
    """One store, as a laptop user has it."""

    def __init__(self, repository, store):
        self._command = repository / "bazel-bin/services/flightrec/flightrec"
        self._store = f"--store={store}"

    def ask(self, command, *arguments):
        return subprocess.run([self._command, command, self._store, *arguments], capture_output=True, text=True,
                              timeout=120, check=False)

    @contextlib.contextmanager
    def recorded(self, program, *flags):
        """A program under `flightrec run`; it ends when the block does."""
        run = subprocess.Popen([self._command, "run", self._store, *flags, "--", program], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            yield Program(run)
            _, run.errors = run.communicate(timeout=120)
            assert run.returncode == 0, run.errors
        finally:
            run.kill()
            run.wait()

    def counts(self):
        report = self.ask("report", "--output=tsv")
        assert report.returncode == 0, report.stderr
        rows = csv.DictReader(io.StringIO(report.stdout), delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row["function"].split("(")[0]: int(row["calls"]) for row in rows}, report.stderr


class Program:
    def __init__(self, run):
        self._run = run

    def tell(self, command):
        self._run.stdin.write(command + "\n")
        self._run.stdin.flush()
        return self._run.stdout.readline().strip()

    @property
    def errors(self):
        return self._run.errors


@pytest.fixture
def laptop(repository, tmp_path):
    return Laptop(repository, tmp_path / "store")


def test_probes__added_and_removed_while_the_program_runs__then_counts_are_those_of_their_time(laptop, target):
    with laptop.recorded(target("plugin_host"), "-f", "main") as program:
        first = program.tell("call")
        added = laptop.ask("probes", "--add=HostLeaf,HostOther")
        assert added.returncode == 0, added.stderr
        assert "3 functions are hooked" in added.stdout
        assert program.tell("call") == first
        assert laptop.ask("probes", "@latest", "--remove=HostLeaf").returncode == 0
        assert program.tell("call") == first
        assert laptop.ask("probes", "--add", "Host*", "--remove", "HostOther,HostLoad").returncode == 0
        assert program.tell("call") == first
    counts, _ = laptop.counts()
    assert counts == {"main": 1, "HostLeaf": 2000, "HostOther": 2000, "HostCall": 1}


def test_probes__what_cannot_be_done__then_says_why_and_changes_nothing(laptop, target):
    with laptop.recorded(target("plugin_host"), "-f", "HostLeaf") as program:
        program.tell("call")
        unknown = laptop.ask("probes", "--add=HostLaef")
        assert unknown.returncode == 1
        assert "HostLeaf" in unknown.stderr
        not_hooked = laptop.ask("probes", "--remove=HostOther")
        assert not_hooked.returncode == 1
        assert "none of which is hooked" in not_hooked.stderr
        refused = laptop.ask("probes", "--add=_start")
        assert refused.returncode == 1
        assert "no function can be hooked" in refused.stderr
        program.tell("call")
    assert laptop.counts()[0] == {"HostLeaf": 2000}
    nobody = laptop.ask("probes", "--add=main")
    assert nobody.returncode == 1
    assert "nothing is being recorded" in nobody.stderr
