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


PLUGIN_COUNTS = {"PluginInit": 1, "PluginWork": 1, "PluginLeaf": 102, "PluginExit": 1}


@pytest.fixture
def plugin(target):
    return target("libplugin.so")


def test_library_loaded_later__pattern_names_it__then_hooked_from_its_first_call_on(laptop, target, plugin):
    with laptop.recorded(target("plugin_host"), "-f", "HostLeaf", "-f", "libplugin.so:*") as program:
        for _ in range(3):
            assert program.tell(f"load {plugin}") == "plugin 200"
            assert program.tell("unload") == "unloaded 0"
        program.tell("call")
    counts, footnote = laptop.counts()
    assert counts == {"HostLeaf": 1000, **{name: 3 * calls for name, calls in PLUGIN_COUNTS.items()}}
    assert "libplugin" not in footnote


def test_library_loaded_later__at_another_place_every_time__then_hooked_every_time(laptop, target, plugin, tmp_path):
    copies = []
    for number in range(4):
        copies.append(tmp_path / f"libplugin{number}.so")
        copies[-1].write_bytes(pathlib.Path(plugin).read_bytes())
    with laptop.recorded(target("plugin_host"), "-f", "libplugin*:PluginLeaf") as program:
        for path in copies:
            assert program.tell(f"load {path}") == "plugin 200"
    # The last thing the program does is to end, with all four loaded.
    assert laptop.counts()[0] == {"PluginLeaf": 4 * 102}


def test_library_loaded_later__pattern_added_while_the_program_runs__then_hooked(laptop, target, plugin):
    with laptop.recorded(target("plugin_host"), "-f", "main") as program:
        program.tell(f"load {plugin}")
        program.tell("unload")
        added = laptop.ask("probes", "--add=libplugin.so:*", "--remove=libplugin.so:PluginWork")
        assert added.returncode == 0, added.stderr
        program.tell(f"load {plugin}")
    counts, _ = laptop.counts()
    assert counts == {"main": 1, "PluginInit": 1, "PluginLeaf": 102, "PluginExit": 1}


def test_library_that_never_comes__then_program_runs_and_the_report_says_so(laptop, target):
    with laptop.recorded(target("plugin_host"), "-f", "libnothing.so*:Foo", "-f", "HostLeaf") as program:
        program.tell("call")
    counts, footnote = laptop.counts()
    assert counts == {"HostLeaf": 1000}
    assert 'function pattern "libnothing.so*:Foo": no such library' in footnote


def capture(services, method, request, **how):
    return services.call("tracer", f"flightrec.capture.v1.CaptureService/{method}", request, control=True, **how)


def test_update_probes__over_grpc__then_says_what_is_hooked_and_what_not(services, target):
    launched = capture(services, "Launch", {"command": [target("leaf_loop"), "2000000000", "1"],
                                            "probes": {"patterns": ["main"]}})
    name = launched["recording"]["name"]
    added = capture(services, "UpdateProbes", {"recording": name, "addPatterns": ["*"]})
    assert int(added["functionsHooked"]) > 1
    assert "PROGRAM_ENTRY" in {refusal["reason"] for refusal in added["refusals"]}
    states = capture(services, "ListCaptures", {})
    hooked = states["captures"][0]["recording"]["completeness"]["functionsHooked"]
    assert hooked == added["functionsHooked"]
    capture(services, "StopRecording", {"recording": name, "terminateProgram": True})


def test_watch__a_program_that_calls_all_the_time__then_rates_and_costs(services, target):
    launched = capture(services, "Launch", {"command": [target("leaf_loop"), "60000000", "1"]})
    states = capture(services, "WatchRecording", {"recording": launched["recording"]["name"], "interval": "0.1s"},
                     stream=True)
    assert states[-1]["recording"]["state"] == "RECORDING_STATE_SEALED"
    assert max(state.get("callsPerSecond", 0) + state.get("lostCallsPerSecond", 0) for state in states) > 100000
    assert max(state.get("programOverhead", 0) for state in states) > 0
    assert max(state.get("tracerCpu", 0) for state in states) > 0
