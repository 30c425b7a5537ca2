"""Fixtures of the tests that cross a process: the built binaries and four services to talk to.

Each test session starts the services as four processes on free loopback ports, with a store of its
own, waits until their health check says so, and stops exactly those four.
"""

import os
import pathlib
import socket
import subprocess
import sys

import grpc
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
START_SECONDS = 60
STOP_SECONDS = 20
SERVING = b"\x08\x01"  # grpc.health.v1.HealthCheckResponse{status: SERVING}


def binary(label):
    """Path of a built binary, from `services/tracer:tracer` or `tests/targets:sample`."""
    folder, name = label.split(":")
    path = ROOT / "bazel-bin" / folder / name
    if not path.exists():
        raise FileNotFoundError(f"{path}: run bazel build //{label}")
    return str(path)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """One running server process: its address, its log and its end."""

    def __init__(self, name, arguments, directory, environment=None):
        self.name = name
        self.port = free_port()
        self.metrics_port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log_path = directory / f"{name}.log"
        command = [
            binary(f"services/{name}:{name}"),
            f"--listen={self.address}",
            f"--metrics_listen=127.0.0.1:{self.metrics_port}",
            *arguments,
        ]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory,
                env={**os.environ, **(environment or {})},
            )

    def log(self):
        return self.log_path.read_text(errors="replace")

    def health(self, timeout=START_SECONDS, wait=True):
        """Asks the server's own health check; waits for the port to open, never by sleeping."""
        with grpc.insecure_channel(self.address) as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=lambda message: message,
                response_deserializer=lambda message: message,
            )
            return check(b"", timeout=timeout, wait_for_ready=wait) == SERVING

    def await_ready(self):
        try:
            if self.health():
                return self
            raise RuntimeError(f"{self.name} is not serving; its log:\n{self.log()}")
        except grpc.RpcError as error:
            state = self.process.poll()
            raise RuntimeError(
                f"{self.name} does not answer ({error.code()}, exit code {state}); its log:\n{self.log()}"
            ) from error

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Drains by SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode


class Services:
    """The four services, wired as in production: tracer -> backend <- query_engine <- mcp_bridge."""

    NAMES = ("backend", "tracer", "query_engine", "mcp_bridge")

    def __init__(self, directory):
        self.directory = directory
        self.control_token_file = directory / "control.token"
        self.running = {}

    def arguments(self, name):
        if name == "backend":
            return [f"--store={self.directory / 'store'}"]
        if name == "tracer":
            return [
                f"--backend={self.running['backend'].address}",
                f"--state_dir={self.directory / 'lanes'}",
                f"--control_token_file={self.control_token_file}",
            ]
        if name == "query_engine":
            return [f"--backend={self.running['backend'].address}"]
        return [f"--query={self.running['query_engine'].address}"]

    def start(self, names=NAMES):
        for name in names:
            self.running[name] = Service(name, self.arguments(name), self.directory)
        for name in names:
            self.running[name].await_ready()
        return self

    def __getattr__(self, name):
        try:
            return self.__dict__["running"][name]
        except KeyError:
            raise AttributeError(name) from None

    def stop(self):
        for service in reversed(list(self.running.values())):
            service.stop()


@pytest.fixture(scope="session")
def built():
    return binary


@pytest.fixture(scope="session")
def services(tmp_path_factory):
    """Four services for the whole session; a test that stops one uses `own_services`."""
    all_four = Services(tmp_path_factory.mktemp("services"))
    try:
        yield all_four.start()
    finally:
        all_four.stop()


@pytest.fixture
def own_services(tmp_path):
    """Four services for one test alone, which may kill any of them."""
    all_four = Services(tmp_path)
    try:
        yield all_four.start()
    finally:
        all_four.stop()


@pytest.fixture
def flightrec(tmp_path):
    """Runs the command line on a store of this test's own: flightrec("report", "@latest")."""

    def run(*arguments, store=tmp_path / "store", **options):
        command, *rest = arguments
        return subprocess.run(
            [binary("services/flightrec:flightrec"), command, f"--store={store}", *rest],
            **{"capture_output": True, "text": True, "timeout": 120, **options},
        )

    return run


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    """Python code of all contracts, made by protoc; import it by stubs("flightrec.query.v1.query")."""
    out = tmp_path_factory.mktemp("stubs")
    external = subprocess.run(
        ["bazel", "info", "output_base"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    googleapis = pathlib.Path(external) / "external" / "com_google_googleapis"
    protos = sorted((ROOT / "proto").rglob("*.proto")) + [googleapis / "google/rpc/status.proto"]
    plugin = subprocess.run(["which", "grpc_python_plugin"], check=True, capture_output=True, text=True)
    subprocess.run(
        ["protoc", f"-I{ROOT / 'proto'}", f"-I{googleapis}", f"--python_out={out}",
         f"--grpc_out={out}", f"--plugin=protoc-gen-grpc={plugin.stdout.strip()}", *map(str, protos)],
        check=True,
    )
    sys.path.insert(0, str(out))
    import google

    google.__path__.append(str(out / "google"))

    def load(name):
        module = __import__(f"{name}_pb2", fromlist=["_"])
        rpc = __import__(f"{name}_pb2_grpc", fromlist=["_"])
        return module, rpc

    return load
