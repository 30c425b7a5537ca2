"""`flightrec doctor`: what this machine lacks for recording, one line each, without any server."""

import json
import os
import re
import socket
import subprocess

import pytest

CHECKS = ["machine", "kernel", "gs base", "time stamps", "ptrace", "hooks", "capabilities", "yama", "seccomp", "lanes",
          "store", "containers", "ports"]


@pytest.fixture
def doctor(repository, tmp_path):
    def run(*arguments, prefix=(), store=None):
        command = [*prefix, repository / "bazel-bin/services/flightrec/flightrec", "doctor",
                   f"--store={store or tmp_path / 'store'}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


def finding(asked, check):
    return next(row for row in json.loads(asked.stdout) if row["check"] == check)


def test_doctor__on_a_machine_that_records__then_a_line_a_check_and_exit_0(doctor, tmp_path):
    asked = doctor()
    assert asked.returncode == 0, asked.stdout
    assert asked.stderr == ""
    lines = asked.stdout.splitlines()
    assert lines[-2] == ""
    assert re.fullmatch(r"recording works here; \d+ warnings?", lines[-1])
    assert [re.fullmatch(r"(ok|warn)  +(.{12})  .+", line)[2].strip() for line in lines[:-2]] == CHECKS
    # It looked, and left nothing behind.
    assert list(tmp_path.iterdir()) == []


def test_doctor__for_programs__then_a_row_a_check(doctor):
    rows = json.loads(doctor("--output=json").stdout)
    assert [row["check"] for row in rows] == CHECKS
    assert all((row["health"] == "ok") == (row["remedy"] is None) for row in rows)
    assert re.fullmatch(r"a hooked call takes \d+ ns more", rows[CHECKS.index("hooks")]["found"])


def test_doctor__store_that_cannot_be_written__then_fails_and_names_the_flag(doctor):
    asked = doctor("--output=json", store="/proc/flightrec")
    assert asked.returncode == 1
    failed = [row for row in json.loads(asked.stdout) if row["health"] == "FAIL"]
    assert [row["check"] for row in failed] == ["store"]
    assert "--store" in failed[0]["remedy"]


def test_doctor__without_the_capability__then_warns(doctor):
    if os.geteuid() != 0:
        pytest.skip("only root has it")
    asked = doctor("--output=json", prefix=["setpriv", "--bounding-set=-sys_ptrace"])
    assert asked.returncode == 0, asked.stdout
    assert finding(asked, "capabilities")["health"] == "warn"
    assert "setcap cap_sys_ptrace+ep" in finding(asked, "capabilities")["remedy"]


def test_doctor__port_held_by_another_program__then_names_it(doctor):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", 7073))
        except OSError:
            pytest.skip("port 7073 is taken already")
        listener.listen()
        asked = doctor("--output=json")
    assert asked.returncode == 0
    assert f"7073 (query engine) by {os.getpid()} (" in finding(asked, "ports")["found"]
    assert finding(asked, "ports")["health"] == "warn"
