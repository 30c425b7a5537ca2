"""The backend's disk is full for a while: what is recorded meanwhile is kept by the tracer and arrives later."""

import os
import select
import subprocess
import time

import pytest

import services_under_test

CALLS = 20_000_000
SECONDS = 120
DISK = "16m"


@pytest.fixture
def disk(tmp_path):
    """A small file system where the store is."""
    directory = tmp_path / "store"
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "tmpfs", directory],
                             capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"this machine mounts nothing: {mounted.stderr}")
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)


@pytest.fixture
def services(repository, buf, tmp_path, disk):
    running = services_under_test.FourProcesses(repository, buf, tmp_path, tracer_flags=("--flush_deadline=120s",))
    try:
        running.start_all()
        yield running
    finally:
        running.stop_all()


def fill(path):
    with open(path, "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass


def failed_commits(services):
    for line in services.metrics("backend").splitlines():
        if line.startswith("flightrec_backend_failed_commits_total "):
            return int(float(line.split()[1]))
    return 0


def test_disk_is_full_and_then_has_room__then_every_call_arrives_without_a_restart(services, target, disk):
    fill(disk / "filler")
    launched = services.call(
        "tracer", "flightrec.capture.v1.CaptureService/Launch",
        {"command": [target("leaf_loop"), str(CALLS), "1"], "probes": {"patterns": ["Leaf"]}}, control=True)
    program = os.pidfd_open(int(launched["process"]["pid"]))
    assert select.select([program], [], [], SECONDS)[0], "the program does not end"
    os.close(program)
    deadline = time.monotonic() + SECONDS
    while failed_commits(services) == 0:
        assert time.monotonic() < deadline, "no write has failed"
        # It answers meanwhile.
        services.call("backend", "flightrec.read.v1.ReadService/ListRecordings", {})

    (disk / "filler").unlink()
    name = launched["recording"]["name"]
    states = services.call("tracer", "flightrec.capture.v1.CaptureService/WatchRecording", {"recording": name},
                           control=True, stream=True)
    completeness = states[-1]["recording"]["completeness"]
    assert states[-1]["recording"]["state"] == "RECORDING_STATE_SEALED", states[-1]
    recorded, lost = int(completeness["callsRecorded"]), int(completeness.get("callsLost", 0))
    assert recorded + lost == CALLS
    answer = services.call("query_engine", "flightrec.query.v1.QueryService/ListFunctions", {"recording": name})
    assert int(answer["functions"][0]["statistics"]["callsTimed"]) == recorded
