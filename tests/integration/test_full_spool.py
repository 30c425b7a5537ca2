"""The backend is away for longer than the tracer can keep what is recorded: what is lost is counted exactly."""

import os
import select

import pytest

import services_under_test

CALLS = 20_000_000
SPOOL_BYTES = 4 << 20  # the least the tracer takes; CALLS need more
SECONDS = 120


@pytest.fixture
def services(repository, buf, tmp_path):
    running = services_under_test.FourProcesses(
        repository, buf, tmp_path, tracer_flags=(f"--spool_bytes={SPOOL_BYTES}", "--flush_deadline=120s"))
    try:
        running.start_all()
        yield running
    finally:
        running.stop_all()


def await_end_of_program(launched):
    program = os.pidfd_open(int(launched["process"]["pid"]))
    assert select.select([program], [], [], SECONDS)[0], "the program does not end"
    os.close(program)


def test_backend_away_longer_than_the_spool_lasts__then_recorded_and_lost_add_up(services, target):
    services.kill("backend")
    launched = services.call(
        "tracer", "flightrec.capture.v1.CaptureService/Launch",
        {"command": [target("leaf_loop"), str(CALLS), "1"], "probes": {"patterns": ["Leaf"]}}, control=True)
    await_end_of_program(launched)
    services.start("backend")
    name = launched["recording"]["name"]
    states = services.call("tracer", "flightrec.capture.v1.CaptureService/WatchRecording", {"recording": name},
                           control=True, stream=True)
    recording = states[-1]["recording"]
    assert recording["state"] == "RECORDING_STATE_SEALED", recording
    recorded, lost = (int(recording["completeness"][key]) for key in ("callsRecorded", "callsLost"))
    assert recorded + lost == CALLS
    assert 0 < lost < CALLS

    answer = services.call("query_engine", "flightrec.query.v1.QueryService/ListFunctions", {"recording": name})
    assert [f["function"]["name"].split("(")[0] for f in answer["functions"]] == ["Leaf"]
    statistics = answer["functions"][0]["statistics"]
    assert (int(statistics["calls"]), int(statistics["callsTimed"])) == (CALLS, recorded)
