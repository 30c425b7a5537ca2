"""Four services as four processes on free loopback ports, and how a client without proto files calls them."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request

ORDER = ["backend", "tracer", "query_engine", "mcp_bridge"]
READY_SECONDS = 60
CALL_SECONDS = 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class FourProcesses:
    """Starts, kills and calls them; ends only what it started."""

    def __init__(self, repository, buf, directory, tracer_flags=()):
        self._repository = repository
        self._buf = buf
        self._directory = directory
        self._ports = {name: (free_port(), free_port()) for name in ORDER}
        self._processes = {}
        self._tracer_flags = tracer_flags
        self.control_token_file = directory / "tracer" / "control_token"

    def address(self, name):
        return f"127.0.0.1:{self._ports[name][0]}"

    def _flags(self, name):
        return {
            "backend": [f"--store={self._directory / 'store'}"],
            "tracer": [f"--backend={self.address('backend')}", f"--state_dir={self._directory / 'tracer'}",
                       "--flush_deadline=10s", *self._tracer_flags],
            "query_engine": [f"--backend={self.address('backend')}"],
            "mcp_bridge": [f"--query={self.address('query_engine')}"],
        }[name]

    def start(self, name):
        port, metrics_port = self._ports[name]
        binary = self._repository / "bazel-bin" / "services" / name / name
        with open(self._directory / f"{name}.log", "ab") as log:
            self._processes[name] = subprocess.Popen(
                [binary, f"--listen=127.0.0.1:{port}", f"--metrics_listen=127.0.0.1:{metrics_port}", *self._flags(name)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_until_serving(name)

    def _wait_until_serving(self, name):
        deadline = time.monotonic() + READY_SECONDS
        while True:
            asked = self._curl(name, "grpc.health.v1.Health/Check", {}, [])
            if asked.returncode == 0 and "SERVING" in asked.stdout:
                return
            ended = self._processes[name].poll()
            if ended is not None or time.monotonic() > deadline:
                log = (self._directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")
                raise AssertionError(f"{name} does not serve (exit code {ended}): {asked.stderr}\n{log}")

    def start_all(self):
        for name in ORDER:
            self.start(name)

    def kill(self, name):
        process = self._processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop_all(self):
        for process in self._processes.values():
            process.terminate()
        for name, process in self._processes.items():
            try:
                code = process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise AssertionError(f"{name} did not drain within 30 s of SIGTERM") from None
            assert code == 0, f"{name} ended with {code}"

    def _headers(self, control):
        if not control:
            return []
        token = self.control_token_file.read_text(encoding="utf-8").split()[0]
        return ["-H", f"authorization: Bearer {token}"]

    def _run_buf(self, arguments, stdin=None):
        command = [self._buf, "curl", "--protocol", "grpc", "--http2-prior-knowledge", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=CALL_SECONDS, check=False,
                              env={**os.environ, "NO_PROXY": "127.0.0.1"})

    def _curl(self, name, method, request, headers):
        requests = request if isinstance(request, list) else [request]
        body = "\n".join(json.dumps(one) for one in requests)
        return self._run_buf([*headers, "-d", "@-", f"http://{self.address(name)}/{method}"], stdin=body)

    def try_call(self, name, method, request, control=False):
        """The finished client: its exit code, answer and error."""
        return self._curl(name, method, request, self._headers(control))

    def call(self, name, method, request, control=False, stream=False):
        """The answer as JSON (a list of them for a stream); AssertionError when the call fails."""
        asked = self.try_call(name, method, request, control)
        assert asked.returncode == 0, f"{name} {method}: {asked.stderr}"
        answers = parse_json_sequence(asked.stdout)
        return answers if stream else answers[0]

    def call_error(self, name, method, request, control=False):
        """The error as JSON: code, message, details."""
        asked = self.try_call(name, method, request, control)
        assert asked.returncode != 0, f"{name} {method} answered {asked.stdout}"
        return json.loads(asked.stderr)

    def list_services(self, name):
        listed = self._run_buf(["--list-services", f"http://{self.address(name)}"])
        assert listed.returncode == 0, listed.stderr
        return listed.stdout.split()

    def list_methods(self, name, service):
        listed = self._run_buf(["--list-methods", f"http://{self.address(name)}"])
        assert listed.returncode == 0, listed.stderr
        return [method for method in listed.stdout.split() if method.startswith(service + "/")]

    def metrics(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[name][1]}/metrics", timeout=10) as answer:
            return answer.read().decode()


def parse_json_sequence(text):
    decoder = json.JSONDecoder()
    values, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        value, at = decoder.raw_decode(text, at)
        values.append(value)
    return values
