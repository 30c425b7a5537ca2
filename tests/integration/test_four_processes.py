"""The four services as four processes on four ports, called with nothing but server reflection."""

import json

import pytest

SERVICES = {
    "tracer": "flightrec.capture.v1.CaptureService",
    "backend": "flightrec.ingest.v1.IngestService",
    "query_engine": "flightrec.query.v1.QueryService",
    "mcp_bridge": "mcp.transport.v1.Mcp",
}


def record_sample(services, target):
    """Launches the sample through the tracer and waits for its recording to be sealed."""
    launched = services.call("tracer", "flightrec.capture.v1.CaptureService/Launch", {"command": [target("sample")]},
                             control=True)
    states = services.call("tracer", "flightrec.capture.v1.CaptureService/WatchRecording",
                           {"recording": launched["recording"]["name"]}, control=True, stream=True)
    assert states[-1]["recording"]["state"] == "RECORDING_STATE_SEALED", states[-1]
    return launched["recording"]["name"]


def ask_agent_bridge(services, tool, arguments):
    """One MCP session over gRPC; gives the result of one tool call."""
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize",
         "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}},
    ]
    frames = services.call("mcp_bridge", "mcp.transport.v1.Mcp/Session",
                           [{"json": json.dumps(message)} for message in messages], stream=True)
    answers = {answer.get("id"): answer for answer in (json.loads(frame["json"]) for frame in frames)}
    result = answers[2]["result"]
    assert not result.get("isError"), result
    return result["structuredContent"]


def whole_path(services, target):
    recording = record_sample(services, target)
    overview = ask_agent_bridge(services, "overview", {"recording": recording.split("/")[1]})
    assert int(overview["calls"]) > 0
    return recording


@pytest.mark.parametrize("name", SERVICES)
def test_reflection__each_service__then_lists_its_service_and_its_methods(services, name):
    assert SERVICES[name] in services.list_services(name)
    assert all(method.startswith(SERVICES[name] + "/") for method in services.list_methods(name, SERVICES[name]))


@pytest.mark.parametrize("name", SERVICES)
def test_health__each_service__then_is_serving_overall_and_by_name(services, name):
    for service in ["", SERVICES[name]]:
        answer = services.call(name, "grpc.health.v1.Health/Check", {"service": service})
        assert answer["status"] == "SERVING"


@pytest.mark.parametrize("name", SERVICES)
def test_metrics__each_service__then_are_prometheus_text(services, name):
    text = services.metrics(name)
    assert "# TYPE " in text


def test_whole_path__sample__then_exact_counts_arrive_at_the_agent(services, target, sample_counts):
    recording = whole_path(services, target).split("/")[1]
    answer = ask_agent_bridge(services, "list_functions", {"recording": recording, "limit": 100})
    seen = {function["name"].split("(")[0]: int(function["calls"]) for function in answer["functions"]}
    assert {name: seen.get(name) for name in sample_counts} == sample_counts


@pytest.mark.parametrize("name", SERVICES)
def test_whole_path__one_process_killed__then_it_is_broken(services, target, name):
    whole_path(services, target)
    services.kill(name)
    with pytest.raises(AssertionError):
        whole_path(services, target)


def test_backend_restarts_while_a_program_runs__then_nothing_is_lost(services, target, sample_counts):
    services.kill("backend")
    launched = services.call("tracer", "flightrec.capture.v1.CaptureService/Launch", {"command": [target("sample")]},
                             control=True)
    services.start("backend")
    states = services.call("tracer", "flightrec.capture.v1.CaptureService/WatchRecording",
                           {"recording": launched["recording"]["name"]}, control=True, stream=True)
    assert states[-1]["recording"]["state"] == "RECORDING_STATE_SEALED", states[-1]
    answer = services.call("query_engine", "flightrec.query.v1.QueryService/ListFunctions",
                           {"recording": launched["recording"]["name"], "pageSize": 1000})
    seen = {f["function"]["name"].split("(")[0]: int(f["statistics"]["calls"]) for f in answer["functions"]}
    assert {name: seen.get(name) for name in sample_counts} == sample_counts


def test_launch__without_the_control_token__then_unauthenticated(services, target):
    error = services.call_error("tracer", "flightrec.capture.v1.CaptureService/Launch", {"command": [target("sample")]})
    assert error["code"] == "unauthenticated"


def test_unknown_recording__query__then_not_found_names_it(services):
    unknown = "recordings/01ARZ3NDEKTSV4RRFFQ69G5FAV"
    error = services.call_error("query_engine", "flightrec.query.v1.QueryService/Overview", {"recording": unknown})
    assert error["code"] == "not_found"
    assert "01ARZ3NDEKTSV4RRFFQ69G5FAV" in error["message"]


def test_malformed_sql__query__then_invalid_argument_with_the_place(services, target):
    recording = record_sample(services, target)
    error = services.call_error("query_engine", "flightrec.query.v1.QueryService/Sql",
                                {"recording": recording, "statement": "SELECT nothing FROM nowhere"})
    assert error["code"] == "invalid_argument"
    assert "nowhere" in error["message"]


def test_sealed_recording__tailed__then_its_chunks_and_an_end(services, target):
    recording = record_sample(services, target)
    frames = services.call("backend", "flightrec.read.v1.ReadService/TailChunks", {"parent": recording}, stream=True)
    assert [int(frame["chunk"]["position"]) for frame in frames[:-1]] == list(range(1, len(frames)))
    assert int(frames[-1]["end"]["chunks"]) == len(frames) - 1


NOT_BUILT = [
    ("tracer", "flightrec.capture.v1.CaptureService/SetTriggers"),
    ("query_engine", "flightrec.query.v1.QueryService/FlameGraph"),
]


@pytest.mark.parametrize("name,method", NOT_BUILT)
def test_method_not_built_yet__called__then_unimplemented_says_so(services, name, method):
    error = services.call_error(name, method, {}, control=True)
    assert error["code"] == "unimplemented"
    assert "not built yet" in error["message"]
