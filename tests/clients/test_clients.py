"""Clients in other languages: an MCP client over stdio, generated Python and Node gRPC clients."""

import importlib
import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def recording(services, target):
    """A sealed recording of the sample; its id."""
    launched = services.call("tracer", "flightrec.capture.v1.CaptureService/Launch", {"command": [target("sample")]},
                             control=True)
    services.call("tracer", "flightrec.capture.v1.CaptureService/WatchRecording",
                  {"recording": launched["recording"]["name"]}, control=True, stream=True)
    return launched["recording"]["name"].split("/")[1]


@pytest.fixture(scope="session")
def node():
    """Runs a script of this directory with the packages that tests/run installed; gives its answer."""
    modules = os.environ["FLIGHTREC_NODE_MODULES"]

    def run(repository, tmp_path, script, *arguments):
        # Node looks for packages beside the script, and the checkout has none.
        local = tmp_path / script
        local.write_bytes((repository / "tests/clients" / script).read_bytes())
        if not (tmp_path / "node_modules").exists():
            (tmp_path / "node_modules").symlink_to(modules)
        ran = subprocess.run(["node", "--preserve-symlinks-main", str(local), *map(str, arguments)],
                             capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run


def test_mcp_client_over_stdio__sample__then_exact_counts_and_errors_that_teach(
        services, recording, repository, tmp_path, node, sample_counts):
    calls = [
        {"name": "list_recordings", "arguments": {}},
        {"name": "list_functions", "arguments": {"recording": recording, "limit": 100}},
        {"name": "sql", "arguments": {"recording": "@latest", "statement": "SELECT count(*) AS n FROM calls"}},
        {"name": "overview", "arguments": {"recording": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}},
    ]
    bridge = repository / "bazel-bin/services/mcp_bridge/mcp_bridge"
    answer = node(repository, tmp_path, "mcp_stdio.mjs", bridge, services.address("query_engine"), json.dumps(calls))
    assert {"list_recordings", "overview", "list_functions", "call_tree", "sql"} <= {t["name"] for t in answer["tools"]}
    assert len(answer["tools"]) <= 12
    recordings, functions, sql, unknown = answer["results"]
    assert recording in json.dumps(recordings["structuredContent"])
    seen = {f["name"].split("(")[0]: int(f["calls"]) for f in functions["structuredContent"]["functions"]}
    assert {name: seen.get(name) for name in sample_counts} == sample_counts
    every_call = sum(int(f["calls"]) for f in functions["structuredContent"]["functions"])
    assert sql["structuredContent"]["rows"] == [[every_call]]
    assert unknown["isError"] and "01ARZ3NDEKTSV4RRFFQ69G5FAV" in unknown["content"][0]["text"]
    assert recording in unknown["content"][0]["text"], "the error names the nearest recordings"


def test_generated_python_client__overview__then_names_the_recording(services, recording, repository, tmp_path, buf):
    plugins = [{"protoc_builtin": "python", "out": "."}, {"local": "/usr/bin/grpc_python_plugin", "out": "."}]
    protos = repository / "proto"
    subprocess.run([buf, "generate", str(protos), "--template", json.dumps({"version": "v2", "plugins": plugins}),
                    "--path", str(protos / "flightrec/trace"), "--path", str(protos / "flightrec/query"),
                    "-o", str(tmp_path)], check=True)
    sys.path.insert(0, str(tmp_path))
    grpc = importlib.import_module("grpc")
    messages = importlib.import_module("flightrec.query.v1.views_pb2")
    stubs = importlib.import_module("flightrec.query.v1.query_pb2_grpc")
    with grpc.insecure_channel(services.address("query_engine")) as channel:
        overview = stubs.QueryServiceStub(channel).Overview(messages.OverviewRequest(recording="recordings/@latest"))
    assert overview.recording.name == f"recordings/{recording}"
    assert overview.calls > 0


def test_node_client__overview__then_names_the_recording(services, recording, repository, tmp_path, node):
    overview = node(repository, tmp_path, "grpc_client.mjs", services.address("query_engine"), repository / "proto")
    assert overview["recording"]["name"] == f"recordings/{recording}"
    assert int(overview["calls"]) > 0
