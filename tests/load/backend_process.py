"""A backend process with a store of its own, and what the machine knows about it."""

import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from services_under_test import free_port  # noqa: E402

BACKEND = ROOT / "bazel-bin/services/backend/backend"
READY_SECONDS = 60
END_SECONDS = 60


def build(*labels):
    subprocess.run(["bazel", "build", "//services/backend", *labels], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)


class BackendProcess:
    """Keeps `directory`/store; serves when constructed; ended by close."""

    def __init__(self, directory, *flags):
        self.address = f"127.0.0.1:{free_port()}"
        self._metrics = f"127.0.0.1:{free_port()}"
        self._log = open(directory / "backend.log", "ab")
        self.process = subprocess.Popen(
            [BACKEND, f"--store={directory / 'store'}", f"--listen={self.address}", f"--metrics_listen={self._metrics}",
             *flags], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.metrics()
                return
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise

    def metrics(self):
        """{name without labels: sum over its labels}."""
        with urllib.request.urlopen(f"http://{self._metrics}/metrics", timeout=READY_SECONDS) as page:
            text = page.read().decode()
        values = {}
        for name, value in re.findall(r"^(\w+)(?:\{[^}]*\})? (\S+)$", text, re.M):
            values[name] = values.get(name, 0.0) + float(value)
        return values

    def metric(self, name):
        return self.metrics()[name]

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _status_bytes(self, name):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB", status, re.M)[1])

    def peak_rss_bytes(self):
        return self._status_bytes("VmHWM")

    def rss_bytes(self):
        return self._status_bytes("VmRSS")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(END_SECONDS)
        finally:
            self._log.close()
