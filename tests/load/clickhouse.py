"""A ClickHouse server of our own, to insert calls into with its own client."""

import pathlib
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from backend_process import free_port  # noqa: E402

READY_SECONDS = 60
RUN_SECONDS = 600
CONFIG = """<yandex>
  <logger><level>error</level><log>{d}/server.log</log><errorlog>{d}/error.log</errorlog></logger>
  <tcp_port>{port}</tcp_port><listen_host>127.0.0.1</listen_host>
  <path>{d}/data/</path><tmp_path>{d}/scratch/</tmp_path><user_files_path>{d}/files/</user_files_path>
  <mark_cache_size>134217728</mark_cache_size><users_config>{d}/users.xml</users_config>
  <default_profile>default</default_profile><default_database>default</default_database>
</yandex>
"""
USERS = """<yandex>
  <profiles><default></default></profiles>
  <users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
    <quota>default</quota></default></users>
  <quotas><default></default></quotas>
</yandex>
"""
TABLE = """create table calls (thread_id UInt64, call_id UInt64, path_id UInt64, function_id UInt64, start_ns Int64,
  duration_ns UInt64) engine = MergeTree order by (thread_id, call_id)"""


class NotThere(Exception):
    """ClickHouse cannot be run here."""


class Server:
    """Data and log in `directory`/clickhouse; ended by the end of `with`."""

    def __init__(self, directory):
        self._server = shutil.which("clickhouse-server", path="/usr/bin:/usr/sbin:/bin:/sbin")
        self._client = shutil.which("clickhouse-client")
        if not self._server or not self._client:
            raise NotThere("clickhouse-server or clickhouse-client is not installed")
        self._directory = directory / "clickhouse"
        self._port = free_port()

    def __enter__(self):
        self._directory.mkdir()
        config = self._directory / "config.xml"
        config.write_text(CONFIG.format(d=self._directory, port=self._port))
        (self._directory / "users.xml").write_text(USERS)
        self._output = open(self._directory / "output", "wb")
        self._process = subprocess.Popen([self._server, f"--config-file={config}"], cwd=self._directory,
                                         stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output)
        deadline = time.monotonic() + READY_SECONDS
        while self._ask("select 1").returncode != 0:
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.__exit__()
                raise NotThere("clickhouse-server does not serve: " + self._ask("select 1").stderr[-200:])
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(READY_SECONDS)
        self._output.close()

    def _ask(self, query, stdin=subprocess.DEVNULL):
        return subprocess.run([self._client, "--port", str(self._port), "--query", query], stdin=stdin,
                              capture_output=True, text=True, timeout=RUN_SECONDS, check=False)

    def _must(self, query, stdin=subprocess.DEVNULL):
        asked = self._ask(query, stdin)
        if asked.returncode != 0:
            raise RuntimeError(f"clickhouse: {query}: {asked.stderr}")
        return asked.stdout

    def insert(self, file: pathlib.Path):
        """Seconds that the client takes to insert a file of rows in RowBinary."""
        self._must(TABLE)
        with open(file, "rb") as rows:
            begin = time.monotonic()
            self._must("insert into calls format RowBinary", rows)
            return time.monotonic() - begin

    def count(self):
        return int(self._must("select count() from calls"))
