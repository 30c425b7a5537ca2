"""Servers that people use, with clients that keep them busy and compare every answer."""

import contextlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

POSTGRES = pathlib.Path("/usr/lib/postgresql/15/bin")
WAIT_SECONDS = 60
NGINX = """
daemon off;
worker_processes 2;
user nobody nogroup;
pid {folder}/pid;
error_log {folder}/errors warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  gzip on;
  gzip_min_length 1;
  gzip_types text/plain;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  default_type text/plain;
  server {{ listen 127.0.0.1:{port} default_server; root {folder}/pages; keepalive_requests 50; }}
}}
"""


def wait_for(condition, what):
    """The condition's first true value; `what` is what to say if there is none, or a function that knows."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (result := condition()):
        assert time.monotonic() < deadline, what() if callable(what) else what
        os.sched_yield()
    return result


def children(pid):
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(child) for child in found]


class Signals:
    """Sends real-time signals, which queue, all the time."""

    def __init__(self, pid):
        self._pid, self.sent, self._stop = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._send)

    def _send(self):
        while not self._stop.wait(0.001):
            for _ in range(3):
                os.kill(self._pid, signal.SIGRTMIN)
                self.sent += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *raised):
        self._stop.set()
        self._thread.join()


class Load:
    """Clients that ask for a page all the time, over kept connections, and compare what they get."""

    CLIENTS = 8

    def __init__(self, port, page):
        self._port, self._page = port, page
        self.answers, self.wrong = 0, []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.CLIENTS)]

    def _ask(self):
        plain = None
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                for number in range(40):
                    headers = {"Accept-Encoding": "gzip"} if number % 2 else {}
                    connection.request("GET", "/page.txt", headers=headers)
                    answer = connection.getresponse()
                    body = answer.read()
                    expected = self._page if number % 2 == 0 else plain or body
                    plain = body if number % 2 else plain
                    if answer.status != 200 or body != expected:
                        self.wrong.append((answer.status, len(body)))
                    self.answers += 1
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(error)
            finally:
                connection.close()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised):
        self._stop.set()
        for thread in self._threads:
            thread.join()


class Database:
    """A PostgreSQL of its own with pgbench's tables."""

    def __init__(self, folder, port):
        self._folder, self._port = folder, str(port)
        folder.mkdir()
        self._log = open(folder / "log", "wb")  # pylint: disable=consider-using-with
        shutil.chown(folder, "postgres")
        self._run("initdb", "-D", folder / "data", "-A", "trust", "--no-sync")
        self._server = subprocess.Popen(  # pylint: disable=consider-using-with
            [*self._as_postgres("postgres"), "-D", folder / "data", "-p", self._port, "-k", folder, "-c",
             "listen_addresses=", "-c", "autovacuum_naptime=1"],
            stdout=subprocess.DEVNULL, stderr=self._log, cwd="/")
        wait_for(lambda: self._run("pg_isready", *self._where(), check=False).returncode == 0, "PostgreSQL does not start")
        self._run("pgbench", *self._where(), "-i", "-q", "postgres")

    def _as_postgres(self, program):
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--reset-env", POSTGRES / program]

    def _where(self):
        return ["-h", str(self._folder), "-p", self._port]

    def _run(self, program, *arguments, check=True):
        return subprocess.run([*self._as_postgres(program), *arguments], capture_output=True, text=True, check=check,
                              cwd="/", timeout=120)

    @property
    def postmaster(self):
        pidfile = (self._folder / "data/postmaster.pid").read_text(encoding="utf-8")
        return int(pidfile.split()[0])

    def clients(self):
        """pgbench with its connections, until it is told to end by the seconds given."""
        return subprocess.Popen(
            [*self._as_postgres("pgbench"), *self._where(), "-n", "-c", "8", "-j", "2", "-T", "5", "postgres"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/")

    def backends(self):
        """Those that serve clients."""
        def serves(pid):
            with contextlib.suppress(OSError):
                return b"[local]" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            return False

        return [pid for pid in children(self.postmaster) if serves(pid)]

    def log(self):
        """What the server has said."""
        return (self._folder / "log").read_text(encoding="utf-8")

    def ask(self, question):
        return self._run("psql", *self._where(), "-Atc", question, "postgres").stdout.strip()

    def end(self):
        if self._server.poll() is None:
            os.kill(self.postmaster, signal.SIGINT)
        self._log.close()
        return self._server.wait(timeout=60)


class Transactions:
    """Runs of pgbench, one after the other."""

    def __init__(self, database):
        self._database, self._stop = database, threading.Event()
        self.done, self.problems = 0, []
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while not self._stop.is_set():
            with self._database.clients() as clients:
                output, _ = clients.communicate()
            done = re.search(r"transactions actually processed: (\d+)", output)
            failed = re.search(r"number of failed transactions: (\d+)", output)
            if clients.returncode != 0 or done is None or failed is None or failed[1] != "0":
                self.problems.append(output)
                return
            self.done += int(done[1])

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *raised):
        self._stop.set()
        self._thread.join()
