"""`flightrec run` and the commands that answer questions, as a laptop user calls them: no server is running."""

import csv
import io
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess

import pytest


def tsv(text):
    return list(csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))


def short_name(name):
    """A demangled name without its arguments, as the table of counts has it."""
    return name.split("(")[0]


@pytest.fixture
def flightrec(repository, tmp_path):
    """Runs the command on a store of its own; gives the finished process."""

    def run(*arguments, stdin=None, environment=None, timeout=120):
        command = [repository / "bazel-bin/services/flightrec/flightrec", arguments[0], f"--store={tmp_path / 'store'}"]
        return subprocess.run(
            [*command, *arguments[1:]], input=stdin, capture_output=True, text=True, timeout=timeout, check=False,
            env={**os.environ, **(environment or {})})

    return run


def test_sample__every_function_hooked__then_counts_in_report_and_sql_are_exact(flightrec, target, sample_counts):
    plain = subprocess.run([target("sample")], capture_output=True, text=True, check=True)
    recorded = flightrec("run", "--", target("sample"))
    assert recorded.returncode == 0, recorded.stderr
    assert recorded.stdout == plain.stdout

    report = flightrec("report", "--output=tsv", "@latest")
    assert report.returncode == 0, report.stderr
    by_report = {short_name(row["function"]): int(row["calls"]) for row in tsv(report.stdout)}
    assert {name: by_report.get(name) for name in sample_counts} == sample_counts

    sql = flightrec("sql", "--output=tsv", "@latest",
                    "SELECT f.name, count(*) AS calls FROM calls c JOIN functions f USING (function_id) GROUP BY 1")
    assert sql.returncode == 0, sql.stderr
    by_sql = {short_name(row["name"]): int(row["calls"]) for row in tsv(sql.stdout)}
    assert {name: by_sql.get(name) for name in sample_counts} == sample_counts
    assert by_sql == by_report


def test_setgid_program__without_cap_sys_ptrace__then_refused_instead_of_run_without_its_rights(repository, tmp_path):
    program = tmp_path / "id"
    shutil.copy("/usr/bin/id", program)
    os.chown(program, -1, 65534)
    program.chmod(0o2755)
    binary = repository / "bazel-bin/services/flightrec/flightrec"
    command = [binary, "run", f"--store={tmp_path / 'store'}", "--", program, "-g"]
    capable = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (capable.returncode, capable.stdout) == (0, "65534\n"), capable.stderr
    refused = subprocess.run(["setpriv", "--bounding-set=-sys_ptrace", *command], capture_output=True, text=True,
                             check=False)
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert "group 65534 (set-group-ID)" in refused.stderr and "CAP_SYS_PTRACE" in refused.stderr


def calls_by_report(flightrec):
    rows = tsv(flightrec("report", "--output=tsv", "--limit=100000", "@latest").stdout)
    return [(short_name(row["function"]), int(row["calls"])) for row in rows]


@pytest.mark.parametrize("filters", [["--min_duration=1h"], ["--filter_depth=2"], ["--thread=nobody"]])
def test_filter__leaves_calls_out__then_they_are_counted_and_not_called_lost(flightrec, target, sample_counts, filters):
    recorded = flightrec("run", *filters, "--", target("sample"))
    assert recorded.returncode == 0, recorded.stderr
    assert re.search(r"[\d,]+ calls were filtered out and counted", recorded.stderr), recorded.stderr
    by_report = calls_by_report(flightrec)
    assert {name: dict(by_report).get(name) for name in sample_counts} == sample_counts
    report = flightrec("report", "@latest")
    words = report.stdout + report.stderr
    assert "filtered out and counted" in words and "a lane or the spool was full" not in words
    rows = tsv(flightrec("sql", "--output=tsv", "SELECT count(*) AS rows, coalesce(max(depth), 0) AS deepest FROM calls").stdout)
    assert int(rows[0]["deepest"]) <= 1
    filtered = tsv(flightrec("sql", "--output=tsv", "SELECT sum(calls) AS calls FROM lost_calls WHERE filtered").stdout)
    assert int(rows[0]["rows"]) + int(filtered[0]["calls"]) == sum(calls for _, calls in by_report)


def test_thread_filter__name_of_the_program__then_its_first_thread_alone_is_recorded(flightrec, target):
    recorded = flightrec("run", "--thread=flightrec-test-no-thread", "--thread=sampl?", "--", target("sample"))
    assert recorded.returncode == 0, recorded.stderr
    names = {row["name"] for row in tsv(flightrec("sql", "--output=tsv", "SELECT DISTINCT f.name FROM calls JOIN functions f USING (function_id)").stdout)}
    assert "main" in names


def test_coarse_clock__then_counts_are_exact_and_calls_lie_within_their_parents(flightrec, target, sample_counts):
    recorded = flightrec("run", "--clock=coarse", "--", target("sample"))
    assert recorded.returncode == 0, recorded.stderr
    by_report = dict(calls_by_report(flightrec))
    assert {name: by_report.get(name) for name in sample_counts} == sample_counts
    rows = tsv(flightrec("sql", "--output=tsv", """
        SELECT count(*) AS children, count(*) FILTER (c.start_ns < p.start_ns OR
          c.start_ns + c.duration_ns > p.start_ns + p.duration_ns) AS outside
        FROM calls c JOIN calls p ON c.thread_id = p.thread_id AND c.parent_call_id = p.call_id""").stdout)
    assert int(rows[0]["children"]) > 0 and rows[0]["outside"] == "0"


@pytest.mark.parametrize("flag, named", [
    ("--thread=" + "x" * 40, "filter.thread_names"), ("--min_duration=-5us", "--min_duration"), ("--clock=sundial", "--clock")])
def test_bad_filter__then_error_names_it(flightrec, target, flag, named):
    failed = flightrec("run", flag, "--", target("sample"))
    assert failed.returncode != 0
    assert named in failed.stderr


def test_cold_parts__run__then_no_function_is_named_after_a_compiler_made_part(flightrec, target):
    assert flightrec("run", "--", target("cold_parts")).returncode == 0
    names = [row["function"] for row in tsv(flightrec("report", "--output=tsv").stdout)]
    assert names and not [name for name in names if "cold" in name.split("(")[0].split(".")[1:] or "[clone .cold" in name]


def test_tree__sample__then_self_times_add_up_to_the_roots(flightrec, target):
    assert flightrec("run", "--", target("sample")).returncode == 0
    nodes = tsv(flightrec("tree", "--output=tsv", "--limit=100000").stdout)
    roots = sum(int(node["total_ns"]) for node in nodes if node["depth"] == "0")
    assert roots > 0
    assert sum(int(node["self_ns"]) for node in nodes) == pytest.approx(roots, rel=0.01)
    assert "main" in {node["function"] for node in nodes if node["depth"] == "0"}
    workers = [node for node in nodes if short_name(node["function"]) == "orders::RunWorker"]
    assert [(node["depth"], node["calls"]) for node in workers] == [("1", "4")]


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exit_code__of_the_program__then_is_ours(flightrec, target, code):
    assert flightrec("run", "--", target("exits_with"), str(code)).returncode == code


def test_crash__then_exit_code_names_the_signal_and_the_calls_up_to_it_are_kept(flightrec, target):
    crashed = flightrec("run", "--", target("crash"))
    assert crashed.returncode == 128 + 11, crashed.stderr
    rows = tsv(flightrec("sql", "--output=tsv", "SELECT count(*) AS open FROM calls WHERE duration_ns IS NULL").stdout)
    assert int(rows[0]["open"]) >= 1


def test_stdin_stdout_stderr__then_pass_through_unchanged(flightrec, target):
    plain = subprocess.run([target("prints")], input="one\ntwo\n", capture_output=True, text=True, check=False)
    recorded = flightrec("run", "--", target("prints"), stdin="one\ntwo\n")
    assert recorded.stdout == plain.stdout
    ours = [line for line in recorded.stderr.splitlines() if line.startswith("flightrec: ")]
    assert [line for line in recorded.stderr.splitlines() if line not in ours] == plain.stderr.splitlines()


def test_pattern__names_one_function__then_only_that_is_recorded(flightrec, target):
    assert flightrec("run", "-f", "orders::ParseOrder", "--", target("sample")).returncode == 0
    rows = tsv(flightrec("report", "--output=tsv").stdout)
    assert [(short_name(row["function"]), row["calls"]) for row in rows] == [("orders::ParseOrder", "2000")]


def test_recordings__after_two_runs__then_lists_both_newest_first(flightrec, target):
    flightrec("run", "--", target("exits_with"), "0")
    flightrec("run", "--", target("exits_with"), "3")
    rows = json.loads(flightrec("recordings", "--output=json").stdout)
    assert [row["command"].split()[-1] for row in rows] == ["3", "0"]
    assert {row["state"] for row in rows} == {"SEALED"}


def run_debian_program(flightrec, program, arguments, stdin, least_functions):
    path = shutil.which(program, path="/usr/bin")
    assert path, f"{program} is not installed: see the list of machine packages"
    plain = subprocess.run([path, *arguments], input=stdin, capture_output=True, text=True, check=True)
    recorded = flightrec("run", "--", path, *arguments, stdin=stdin)
    assert recorded.returncode == 0, recorded.stderr
    assert recorded.stdout == plain.stdout
    rows = tsv(flightrec("report", "--output=tsv").stdout)
    assert len(rows) >= least_functions
    return rows


def test_debian_program__stripped_and_without_our_symbols__then_same_output_and_functions_recorded(flightrec):
    script = "create table t(a,b); with recursive c(x) as (select 1 union all select x+1 from c where x<500)" \
             " insert into t select x, x*x from c; select count(*), sum(b) from t;\n"
    run_debian_program(flightrec, "sqlite3", [":memory:"], script, 1)


def test_debian_library__exported_functions_by_pattern__then_they_are_recorded(flightrec, tmp_path):
    path = shutil.which("xz", path="/usr/bin")
    assert path, "xz is not installed: see the list of machine packages"
    plain, recorded = tmp_path / "plain", tmp_path / "recorded"
    for file in (plain, recorded):
        file.write_text("flightrec " * 20000, encoding="utf-8")
    subprocess.run([path, "-T1", str(plain)], check=True)
    run = flightrec("run", "-f", "liblzma.so*:lzma_*", "--", path, "-T1", str(recorded))
    assert run.returncode == 0, run.stderr
    assert recorded.with_suffix(".xz").read_bytes() == plain.with_suffix(".xz").read_bytes()
    rows = {row["function"]: int(row["calls"]) for row in tsv(flightrec("report", "--output=tsv").stdout)}
    assert rows.get("lzma_code", 0) >= 1
    assert all(name.startswith("lzma_") for name in rows)


BAD_PROGRAMS = [
    (["/no/such/program"], 127, "/no/such/program"),
    (["no-such-program-in-path"], 127, "no-such-program-in-path"),
    (["/etc/passwd"], 126, "/etc/passwd"),
]


@pytest.mark.parametrize("program,code,named", BAD_PROGRAMS)
def test_bad_program__then_error_names_it_and_nothing_is_recorded(flightrec, program, code, named):
    failed = flightrec("run", "--", *program)
    assert failed.returncode == code, failed.stderr
    assert failed.stderr.startswith("flightrec: ") and named in failed.stderr
    assert json.loads(flightrec("recordings", "--output=json").stdout) == []


def test_pattern_that_matches_nothing__then_the_command_line_is_wrong_and_close_names_are_told(flightrec, target):
    failed = flightrec("run", "-f", "Lef", "--", target("leaf_loop"), "1", "1")
    assert failed.returncode == 2, failed.stderr
    assert "matches none" in failed.stderr and "Leaf" in failed.stderr


def test_children__then_counted_by_how_they_were_started(flightrec):
    recorded = flightrec("run", "--", "sh", "-c", "/bin/true; /bin/true; exit 4")
    assert recorded.returncode == 4, recorded.stderr
    assert re.search("2 children not traced: v?fork 2$", recorded.stderr, re.M), recorded.stderr
    report = flightrec("report")
    assert "2 children not traced" in report.stdout + report.stderr
    assert "exit code 4" in report.stdout


def test_exec__then_outcome_says_so_and_the_exit_code_is_that_of_the_other_program(flightrec):
    recorded = flightrec("run", "--", "sh", "-c", "exec sh -c 'exit 3'")
    assert recorded.returncode == 3, recorded.stderr
    report = flightrec("report").stdout
    assert "SEALED" in report and "replaced by another program" in report


def test_script__then_says_to_trace_its_interpreter(flightrec, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    script.chmod(0o755)
    failed = flightrec("run", "--", str(script))
    assert failed.returncode == 126, failed.stderr
    assert "/bin/sh" in failed.stderr


def test_32_bit_program__then_says_so(flightrec, tmp_path, target):
    with open(target("exits_with"), "rb") as original:
        image = bytearray(original.read())
    image[4] = 1  # EI_CLASS: ELFCLASS32
    program = tmp_path / "program32"
    program.write_bytes(image)
    program.chmod(0o755)
    failed = flightrec("run", "--", str(program))
    assert failed.returncode not in (0, 1), failed.stderr
    assert "32-bit" in failed.stderr


def test_pattern_that_matches_nothing__then_suggests_names_and_does_not_start_the_program(flightrec, target):
    failed = flightrec("run", "-f", "orders::ParseOrdre", "--", target("sample"))
    assert failed.returncode != 0
    assert failed.stdout == ""
    assert "orders::ParseOrdre" in failed.stderr and "orders::ParseOrder" in failed.stderr


def test_unknown_recording__then_names_it_and_the_nearest(flightrec, target):
    assert flightrec("run", "--", target("exits_with"), "0").returncode == 0
    known = json.loads(flightrec("recordings", "--output=json").stdout)[0]["recording"]
    wrong = known[:-1] + ("0" if known[-1] != "0" else "1")
    failed = flightrec("report", wrong)
    assert failed.returncode == 1
    assert wrong in failed.stderr and known in failed.stderr


def test_malformed_sql__then_gives_the_place_of_the_error(flightrec, target):
    assert flightrec("run", "--", target("exits_with"), "0").returncode == 0
    failed = flightrec("sql", "SELECT count(*) FORM calls")
    assert failed.returncode == 1
    assert "FORM" in failed.stderr or "calls" in failed.stderr
    assert "^" in failed.stderr or "position" in failed.stderr


def test_up__serves_a_store__then_other_commands_use_it_and_it_drains_on_sigterm(repository, tmp_path, flightrec, target):
    binary = repository / "bazel-bin/services/flightrec/flightrec"
    ports = [f"--{name}=127.0.0.1:0" for name in ("tracer", "backend", "query", "mcp")]
    up = subprocess.Popen([binary, "up", f"--store={tmp_path / 'store'}", *ports], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    try:
        lines = [up.stdout.readline() for _ in range(5)]
        assert [line.split()[0] for line in lines] == ["tracer", "backend", "query", "mcp", "serving"]
        assert flightrec("run", "--", target("exits_with"), "3").returncode == 3
        rows = json.loads(flightrec("recordings", "--output=json").stdout)
        assert [row["state"] for row in rows] == ["SEALED"]
        second = flightrec("up", *ports)
        assert second.returncode != 0 and str(tmp_path / "store") in second.stderr
    finally:
        up.terminate()
        assert up.wait(timeout=30) == 0
    assert len(json.loads(flightrec("recordings", "--output=json").stdout)) == 1


def test_two_runs_at_once_on_one_store__then_both_are_kept(repository, tmp_path, flightrec, target):
    binary = repository / "bazel-bin/services/flightrec/flightrec"
    runs = [subprocess.Popen([binary, "run", f"--store={tmp_path / 'store'}", "--", target("sample")],
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for run in runs:
        _, errors = run.communicate(timeout=120)
        assert run.returncode == 0, errors
    rows = json.loads(flightrec("recordings", "--output=json").stdout)
    assert [row["state"] for row in rows] == ["SEALED", "SEALED"]
    assert len({row["calls"] for row in rows}) == 1


def test_descriptor_passed_deliberately__then_program_has_the_same_ones_as_without_us(repository, tmp_path):
    binary = repository / "bazel-bin/services/flightrec/flightrec"
    program = ["/usr/bin/find", "/proc/self/fd", "-lname", "/*", "-printf", "%f %l\\n"]

    def open_files(command, passed):
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
                             pass_fds=[passed.fileno()])
        return re.sub("/proc/[0-9]+/", "/proc/PID/", ran.stdout)

    with open("/etc/passwd", encoding="utf-8") as passed:
        plain = open_files(program, passed)
        assert f"{passed.fileno()} /etc/passwd\n" in plain
        assert open_files([binary, "run", f"--store={tmp_path / 'store'}", "--", *program], passed) == plain


@pytest.mark.parametrize("number", [0, 1])
def test_closed_standard_stream__then_program_has_it_closed_and_none_of_our_files(
        repository, tmp_path, number):
    binary = repository / "bazel-bin/services/flightrec/flightrec"
    command = f'"$0" run "--store=$1" -- /usr/bin/readlink /proc/self/fd/{number} {number}>&-'
    recorded = subprocess.run(["/bin/sh", "-c", command, binary, tmp_path / "store"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
    assert (recorded.returncode, recorded.stdout) == (1, ""), recorded.stderr
    assert str(tmp_path) not in recorded.stderr


@pytest.mark.parametrize("ignored", [signal.SIGHUP, signal.SIGINT])
def test_signal_ignored_by_who_started_us__then_the_program_ignores_it(repository, tmp_path, ignored):
    binary = repository / "bazel-bin/services/flightrec/flightrec"
    command = f'trap "" {ignored.name[3:]}; exec "$0" run "--store=$1" -- /usr/bin/grep SigIgn /proc/self/status'
    recorded = subprocess.run(["/bin/sh", "-c", command, binary, tmp_path / "store"], capture_output=True, text=True,
                              check=False)
    assert recorded.returncode == 0, recorded.stderr
    assert int(recorded.stdout.split()[1], 16) == 1 << (ignored - 1)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_sent_to_us_alone__then_the_program_gets_it_and_the_recording_is_sealed(
        repository, tmp_path, flightrec, target, sent):
    binary = repository / "bazel-bin/services/flightrec/flightrec"
    run = subprocess.Popen([binary, "run", f"--store={tmp_path / 'store'}", "--", target("prints")],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run.stdin.write("one\n" * 5000)
    run.stdin.flush()
    assert run.stdout.readline()
    run.send_signal(sent)
    # Its input stays open: nothing else ends the program.
    code = run.wait(timeout=60)
    _, errors = run.communicate()
    assert code == 128 + sent, errors
    rows = json.loads(flightrec("recordings", "--output=json").stdout)
    assert [row["state"] for row in rows] == ["SEALED"]


def test_run_ended__then_nothing_of_it_is_left_in_shared_memory(repository, tmp_path, target):
    binary = repository / "bazel-bin/services/flightrec/flightrec"
    state = pathlib.Path(f"/dev/shm/flightrec-{os.geteuid()}")
    for program, code in ([target("exits_with"), "3"], 3), (["/no/such/program"], 127):
        run = subprocess.Popen([binary, "run", f"--store={tmp_path / 'store'}", "--", *program],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert run.wait(timeout=60) == code
        assert not (state / str(run.pid)).exists()


def test_recording_ended__then_the_tracer_keeps_no_lane_of_it(services, flightrec, target):
    tracer = [f"--tracer={services.address('tracer')}", f"--control_token_file={services.control_token_file}"]
    assert flightrec("run", *tracer, "--", target("exits_with"), "3").returncode == 3
    left = sorted(file.name for file in services.control_token_file.parent.iterdir())
    assert left == ["control_token", "owner"]


def test_store_that_is_a_directory_of_other_files__then_refused_and_its_mode_stays(repository, tmp_path, target):
    directory = tmp_path / "documents"
    directory.mkdir(mode=0o755)
    (directory / "letter").touch()
    binary = repository / "bazel-bin/services/flightrec/flightrec"
    failed = subprocess.run([binary, "run", f"--store={directory}", "--", target("exits_with"), "0"],
                            capture_output=True, text=True, check=False)
    assert failed.returncode == 125, failed.stderr
    assert str(directory) in failed.stderr
    assert directory.stat().st_mode & 0o777 == 0o755


def test_terminal_closed__then_the_program_hears_of_it_and_the_recording_is_sealed(repository, tmp_path, flightrec):
    binary = repository / "bazel-bin/services/flightrec/flightrec"
    text = tmp_path / "text"
    text.write_text("started\n", encoding="utf-8")
    child, terminal = pty.fork()
    if child == 0:
        signal.alarm(60)
        # The leader of the terminal's session, as behind `ssh -t` or in a window of its own.
        os.execv(binary, [binary, "run", f"--store={tmp_path / 'store'}", "--", "/usr/bin/tail", "-f", text])
    seen = b""
    while b"started" not in seen:
        seen += os.read(terminal, 100)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGHUP
    rows = json.loads(flightrec("recordings", "--output=json").stdout)
    assert [row["state"] for row in rows] == ["SEALED"]
