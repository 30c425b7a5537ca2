"""`flightrec ps` and ListProcesses: what runs here, where, and whether it can be attached to."""

import ctypes
import json
import os
import signal
import subprocess
import uuid

import pytest

PTRACE_SEIZE = 0x4206


@pytest.fixture
def flightrec(repository, tmp_path):
    """Runs the command on a store of its own."""

    def run(*arguments, **how):
        command = [repository / "bazel-bin/services/flightrec/flightrec", arguments[0], f"--store={tmp_path / 'store'}"]
        return subprocess.run([*command, *arguments[1:]], capture_output=True, text=True, timeout=120, check=False, **how)

    return run


@pytest.fixture
def sleeper():
    """A program that waits; its name is in no other process."""
    name = f"ps-{uuid.uuid4().hex}"
    process = subprocess.Popen(["/bin/sh", "-c", "echo; read line", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    process.name = name
    yield process
    process.kill()
    process.wait()


def only(listed):
    assert listed.returncode == 0, listed.stderr
    rows = json.loads(listed.stdout)
    assert len(rows) == 1, rows
    return rows[0]


def test_ps__a_program_that_waits__then_all_about_it_and_that_it_can_be_attached_to(flightrec, sleeper):
    row = only(flightrec("ps", "--output=json", sleeper.name))
    assert row["pid"] == sleeper.pid
    assert row["parent_pid"] == os.getpid()
    assert row["uid"] == os.geteuid()
    assert row["threads"] == 1
    assert row["command"].endswith(sleeper.name)
    assert row["executable"] == os.path.realpath("/bin/sh")
    assert row["attachable"] is True and row["obstacle"] is None
    assert 0 < row["hookable_functions"] <= row["functions"]
    assert only(flightrec("ps", "--output=json", str(sleeper.pid))) == row
    assert sleeper.poll() is None


def test_ps__table__then_a_line_a_process_and_sums(flightrec, sleeper):
    listed = flightrec("ps", sleeper.name)
    heading, _, columns, line = listed.stdout.splitlines()
    assert heading == "1 process, 1 can be attached to"
    assert columns.split()[:6] == ["PID", "USER", "THREADS", "FUNCTIONS", "HOOKABLE", "ATTACH"]
    assert line.split()[0] == str(sleeper.pid)
    assert listed.stderr == ""


def test_ps__all__then_neither_kernel_threads_nor_itself(flightrec, sleeper):
    rows = json.loads(flightrec("ps", "--output=json").stdout)
    pids = [row["pid"] for row in rows]
    assert pids == sorted(pids) and sleeper.pid in pids and 2 not in pids
    assert not [row for row in rows if row["obstacle"] == "ITSELF"]


def test_ps__traced_process__then_says_by_whom(flightrec, sleeper):
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.ptrace(PTRACE_SEIZE, sleeper.pid, None, None) == 0, os.strerror(ctypes.get_errno())
    listed = flightrec("ps", sleeper.name)
    assert "no: traced" in listed.stdout
    assert f"is traced already by process {os.getpid()} (" in listed.stderr


def test_ps__zombie__then_says_whose(flightrec, sleeper):
    os.kill(sleeper.pid, signal.SIGKILL)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    row = only(flightrec("ps", "--output=json", str(sleeper.pid)))
    assert row["obstacle"] == "ENDED"
    assert f"its parent {os.getpid()}" in row["obstacle_description"]


def test_ps__of_another_user_without_the_capability__then_out_of_reach(repository, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root starts programs of another user")
    name = f"ps-{uuid.uuid4().hex}"
    binary = repository / "bazel-bin/services/flightrec/flightrec"
    command = ["setpriv", "--bounding-set=-sys_ptrace", binary, "ps", f"--store={tmp_path / 'store'}", "--output=json"]
    with subprocess.Popen(["/bin/sh", "-c", "echo; read line", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          user=65534, group=65534, extra_groups=[]) as process:
        process.stdout.readline()
        row = only(subprocess.run([*command, name], capture_output=True, text=True, timeout=120, check=False))
        process.stdin.close()
    assert row["obstacle"] == "OTHER_USER"
    assert "user 65534" in row["obstacle_description"] and "CAP_SYS_PTRACE" in row["obstacle_description"]
    assert row["executable"] is None and row["functions"] is None


def test_ps__nothing_matches_or_a_wrong_word__then_says_so(flightrec):
    nothing = flightrec("ps", f"none-{uuid.uuid4().hex}")
    assert nothing.returncode == 1 and "no process matches" in nothing.stderr
    wrong = flightrec("ps", "colour:red")
    assert wrong.returncode == 1 and "there is no field 'colour'" in wrong.stderr


def list_processes(services, request):
    return services.call("tracer", "flightrec.capture.v1.CaptureService/ListProcesses", request, control=True)


def test_list_processes__while_one_is_recorded__then_names_its_recording_and_our_services(services, target):
    launched = services.call("tracer", "flightrec.capture.v1.CaptureService/Launch",
                             {"command": [target("leaf_loop"), "2000000000", "1"]}, control=True)
    recorded = list_processes(services, {"filter": "name:leaf_loop", "view": "PROCESS_VIEW_FULL"})["processes"]
    mine = [one for one in recorded if one.get("recording") == launched["recording"]["name"]]
    assert [one["pid"] for one in mine] == [launched["process"]["pid"]]
    assert mine[0]["obstacle"] == "RECORDED"
    assert int(mine[0]["functions"]) > 5
    services.call("tracer", "flightrec.capture.v1.CaptureService/StopRecording",
                  {"recording": launched["recording"]["name"], "terminateProgram": True}, control=True)
    ours = list_processes(services, {"filter": "name:query_engine"})["processes"]
    assert {one["obstacle"] for one in ours} == {"OWN_SERVICE"}
    assert "functions" not in ours[0]


def test_list_processes__in_pages__then_each_process_once(services, sleeper):
    pids, token = [], ""
    while True:
        page = list_processes(services, {"pageSize": 3, "pageToken": token})
        assert len(page["processes"]) <= 3
        pids += [one["pid"] for one in page["processes"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert pids == sorted(set(pids)) and sleeper.pid in pids


def test_list_processes__a_field_that_is_wrong__then_invalid_argument_names_it(services):
    for request, field in [({"pageSize": 1001}, "page_size"), ({"pageSize": -1}, "page_size"),
                           ({"pageToken": "x"}, "page_token"), ({"filter": "colour:red"}, "filter"),
                           ({"view": 9}, "view")]:
        error = services.call_error("tracer", "flightrec.capture.v1.CaptureService/ListProcesses", request, control=True)
        assert error["code"] == "invalid_argument", request
        assert error["message"].startswith(field), request
