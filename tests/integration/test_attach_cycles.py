"""One tracer attaches to busy programs and detaches again, hundreds of times: they do what they did, and nothing is left.

FLIGHTREC_LONG=1 for the full numbers, and for those with servers of the group bench (deploy/setup bench).
"""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from servers_under_load import NGINX, POSTGRES, Database, Load, Signals, Transactions, children, wait_for

LONG = bool(os.environ.get("FLIGHTREC_LONG"))
BUSY_CYCLES = 1000 if LONG else 5
CYCLES = 100 if LONG else 2
# Every so many cycles all libraries are hooked too.
LIBRARIES_EVERY = 20
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="these programs run as other users")


@pytest.fixture
def open_folder():
    """Other users may enter it; pytest's own folders are closed to them."""
    with tempfile.TemporaryDirectory(prefix="flightrec_test_") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield folder


def text_hashes(pid):
    """Of each executable mapping of a file or of the kernel; what a program compiles itself changes all the time."""
    hashes = {}
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
            fields = line.split(maxsplit=5)
            if "x" not in fields[1] or len(fields) < 6 or fields[5] == "[vsyscall]":
                continue
            low, high = (int(part, 16) for part in fields[0].split("-"))
            memory.seek(low)
            text = memory.read(high - low)
            if len(text) < high - low:
                raise ProcessLookupError(f"process {pid} has ended")
            hashes[line] = hashlib.sha256(text).hexdigest()
    if not hashes:
        raise ProcessLookupError(f"process {pid} has ended")
    return hashes


def open_files(pid):
    """What each descriptor leads to."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[name] = os.readlink(f"/proc/{pid}/fd/{name}")
    return found


def has_tracer_memory(pid):
    return ".lane" in pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


def threads_with_gs(pid):
    """How many threads a debugger sees with a gs base; ours have one."""
    shown = subprocess.run(["gdb", "-batch", "-nx", "-p", str(pid), "-ex", "thread apply all -q print $gs_base"],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True)
    values = re.findall(r"^\$\d+ = (\w+)", shown.stdout, re.MULTILINE)
    assert values, shown.stdout + shown.stderr
    return sum(int(value, 0) != 0 for value in values)


def cycle(tracer, pid, patterns):
    recording = tracer.attach(pid, *patterns).recording
    sealed = tracer.stop(recording)
    assert sealed.state == 5, sealed  # RECORDING_STATE_SEALED
    assert not list(sealed.completeness.notes), sealed.completeness.notes
    assert sealed.completeness.functions_hooked > 0
    return sealed.completeness.calls_recorded


def cycles(tracer, pid, count, patterns=("*",), library_patterns=None):
    """Returns the calls that were recorded; the text is compared after each."""
    before = text_hashes(pid)
    begin, calls = time.monotonic(), 0
    for number in range(count):
        with_libraries = library_patterns and number % LIBRARIES_EVERY == LIBRARIES_EVERY - 1
        calls += cycle(tracer, pid, library_patterns if with_libraries else patterns)
        assert text_hashes(pid) == before, f"the text differs after cycle {number}"
        assert not has_tracer_memory(pid)
    print(f"{count} cycles in {time.monotonic() - begin:.1f} s, {calls} calls")
    return calls


@contextlib.contextmanager
def talking(command, **options):
    """A program that says `ready` and ends with its input; `tell` gives its answer to a letter."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options) as process:
        def tell(letter):
            process.stdin.write(letter)
            process.stdin.flush()
            return process.stdout.readline().strip()

        process.tell = tell
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_16_busy_threads_and_signals__then_no_fault_and_each_signal_arrives(tracer, target):
    with talking([target("attachable"), "16", "300"]) as program:
        program.tell("h")
        files = open_files(program.pid)
        with Signals(program.pid) as signals:
            calls = cycles(tracer, program.pid, BUSY_CYCLES, library_patterns=("**",))
        assert calls > 0
        wait_for(lambda: program.tell("s") == f"signals {signals.sent}", "signals were lost")
        assert open_files(program.pid) == files
        if shutil.which("gdb"):
            assert threads_with_gs(program.pid) == 0
        assert program.tell("c").startswith("called ")
        output, _ = program.communicate(timeout=60)
        assert (program.returncode, output) == (0, "wrong 0\n")


def test_stopped_under_gdb_earlier__then_as_any_other(tracer, target):
    if shutil.which("gdb") is None:
        pytest.skip("gdb is not installed")
    with talking([target("attachable"), "4", "300"]) as program:
        before = text_hashes(program.pid)
        subprocess.run(["gdb", "-batch", "-nx", "-p", str(program.pid), "-ex", "break AttWork", "-ex", "continue",
                        "-ex", "backtrace", "-ex", "finish", "-ex", "delete", "-ex", "detach"],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True)
        assert text_hashes(program.pid) == before
        assert cycles(tracer, program.pid, CYCLES) > 0
        assert threads_with_gs(program.pid) == 0
        output, _ = program.communicate(timeout=60)
        assert (program.returncode, output) == (0, "wrong 0\n")


@pytest.mark.long
def test_runtime_that_compiles_as_it_runs__then_its_results_stay_the_same(tracer, repository):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    with talking([node, repository / "tests/targets/jit_rounds.js"]) as program:
        # Of its libraries: V8 itself is refused, as it reads return addresses off the stack.
        first = int(program.tell("r").split()[1])
        assert cycles(tracer, program.pid, CYCLES, ("**",)) > 0
        assert int(program.tell("r").split()[1]) > first
        output, _ = program.communicate(timeout=60)
        assert (program.returncode, output.splitlines()[-1]) == (0, "wrong 0")


@pytest.mark.long
@needs_root
def test_web_server_under_load__then_no_request_fails(tracer, open_folder, free_port):
    nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed")
    page = b"".join(b"line %d of the page\n" % number for number in range(500))
    (open_folder / "pages").mkdir(mode=0o755)
    (open_folder / "pages/page.txt").write_bytes(page)
    (open_folder / "conf").write_text(NGINX.format(folder=open_folder, port=free_port), encoding="utf-8")
    with subprocess.Popen([nginx, "-p", open_folder, "-c", open_folder / "conf", "-e", open_folder / "errors"]) as server:
        try:
            workers = wait_for(lambda: len(children(server.pid)) == 2 and children(server.pid), "nginx does not start")
            for pid in workers:
                wait_for(lambda pid=pid: "anon_inode:[eventfd]" in open_files(pid).values(), "nginx does not serve")
            files = {pid: open_files(pid) for pid in workers}
            with Load(free_port, page) as load:
                wait_for(lambda: load.answers > 100, "no answers")
                calls = [cycles(tracer, pid, CYCLES // 2 + 1, library_patterns=("**",)) for pid in workers]
            assert all(calls)
            assert load.wrong == []
            print(f"{load.answers} answers")
            assert children(server.pid) == workers
            for pid in workers:
                wait_for(lambda pid=pid: len(open_files(pid)) <= len(files[pid]), lambda pid=pid: open_files(pid))
            assert {pid: open_files(pid) for pid in workers} == files
        finally:
            server.send_signal(signal.SIGQUIT)
        assert server.wait(timeout=60) == 0
    assert "signal" not in (open_folder / "errors").read_text(encoding="utf-8")


def database_cycles(tracer, database, transactions):
    """Each of another process that serves a client; some end before their turn."""
    done = calls = 0
    begin = time.monotonic()
    while done < CYCLES:
        assert not transactions.problems, transactions.problems[0] + database.log()
        backends = wait_for(database.backends, "no client is served")
        pid = backends[done % len(backends)]
        try:
            before = text_hashes(pid)
            calls += cycle(tracer, pid, ("*",))
            assert text_hashes(pid) == before
        except (OSError, tracer.error):
            assert pid not in database.backends()
            continue
        done += 1
    print(f"{done} cycles in {time.monotonic() - begin:.1f} s, {calls} calls, {transactions.done} transactions")
    return calls


@pytest.mark.long
@needs_root
def test_database_with_active_clients__then_no_transaction_fails(tracer, open_folder, free_port):
    if not POSTGRES.exists():
        pytest.skip("PostgreSQL is not installed")
    database = Database(open_folder / "database", free_port)
    try:
        with Transactions(database) as transactions:
            assert database_cycles(tracer, database, transactions) > 0
            # The parent of all, which starts the processes of new clients.
            cycles(tracer, database.postmaster, CYCLES // 10 + 1)
        assert not transactions.problems, transactions.problems[0] + database.log()
        assert transactions.done > 0
        sums = database.ask("SELECT (SELECT sum(delta) FROM pgbench_history), (SELECT sum(abalance) FROM pgbench_accounts), "
                            "(SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(bbalance) FROM pgbench_branches)")
        assert len(set(sums.split("|"))) == 1, sums
        assert int(database.ask("SELECT count(*) FROM pgbench_history")) == transactions.done
    finally:
        code = database.end()
    assert code == 0
