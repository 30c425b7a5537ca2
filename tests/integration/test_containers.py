"""A program of another C library in a podman container without any file of ours."""

import csv
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import uuid

import pytest

pytestmark = pytest.mark.long
LOADER = pathlib.Path("/lib/ld-musl-x86_64.so.1")
THREADS = 4


def podman(*arguments, check=True):
    return subprocess.run(["podman", *arguments], capture_output=True, text=True, timeout=120, check=check)


@pytest.fixture(scope="module")
def image(repository, tmp_path_factory):
    """A root with musl's loader and one program."""
    for tool in ("podman", "runc", "musl-gcc"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if os.geteuid() != 0 or not LOADER.exists():
        pytest.skip("needs root and musl's loader")
    folder = tmp_path_factory.mktemp("image")
    subprocess.run(["musl-gcc", "-O2", "-w", repository / "tests/targets/steady.c", "-o", folder / "steady"], check=True)
    with tarfile.open(folder / "root.tar", "w") as archive:
        archive.add(folder / "steady", "bin/steady")
        archive.add(LOADER.resolve(), f"lib/{LOADER.name}")
    name = f"localhost/flightrec-{uuid.uuid4().hex}"
    podman("import", "-q", str(folder / "root.tar"), name)
    yield name
    podman("rmi", "-f", name)


# SQLite's shell, whose sources this package has.
THIRD_PARTY = ("sqlite3@5.1.7", "sqlite3-5.1.7.tgz", "package/deps/sqlite-autoconf-3440200.tar.gz",
               "44cc9bdee02705a7b636f76968d745e21c1d0b2f1c62810c678bc3b0ececab1b")
ENDLESS_QUERY = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(hex(x)) FROM n"


@pytest.fixture(scope="module")
def sqlite_image(image, tmp_path_factory):
    """The same root with a program of others, compiled for musl."""
    package, archive, sources, sha256 = THIRD_PARTY
    folder = tmp_path_factory.mktemp("sqlite")
    subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, timeout=120, capture_output=True)
    assert hashlib.sha256((folder / archive).read_bytes()).hexdigest() == sha256
    for name in (archive, sources):
        with tarfile.open(folder / name) as packed:
            packed.extractall(folder)
    source = folder / pathlib.Path(sources).name.removesuffix(".tar.gz")
    subprocess.run(["musl-gcc", "-O1", "-w", "-DSQLITE_OMIT_LOAD_EXTENSION", f"-I{source}", source / "shell.c",
                    source / "sqlite3.c", "-o", folder / "sqlite3"], check=True)
    with tarfile.open(folder / "root.tar", "w") as root:
        root.add(folder / "sqlite3", "bin/sqlite3")
        root.add(LOADER.resolve(), f"lib/{LOADER.name}")
    name = f"localhost/flightrec-{uuid.uuid4().hex}"
    podman("import", "-q", str(folder / "root.tar"), name)
    yield name
    podman("rmi", "-f", name)


class Container:
    def __init__(self, image, *options, command=("/bin/steady",)):
        self.name = f"flightrec-{uuid.uuid4().hex}"
        started = podman("--runtime", "runc", "run", "-d", "--name", self.name, "--network", "none",
                         "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", *options, image, *command,
                         check=False)
        if started.returncode != 0:
            podman("rm", "-f", self.name, check=False)
            pytest.skip(f"podman cannot run a container here: {started.stderr}")
        self.id = started.stdout.strip()
        self.pid = int(podman("inspect", "-f", "{{.State.Pid}}", self.name).stdout)

    def close(self):
        podman("rm", "-f", "-t", "0", self.name)

    def changed_files(self):
        return podman("diff", self.name).stdout


@pytest.fixture
def container(image):
    one = Container(image, "--read-only")
    yield one
    one.close()


@pytest.fixture
def flightrec(repository, tmp_path):
    def run(*arguments):
        command = [repository / "bazel-bin/services/flightrec/flightrec", arguments[0], f"--store={tmp_path / 'store'}"]
        return subprocess.run([*command, *arguments[1:]], capture_output=True, text=True, timeout=120, check=False)

    return run


def test_ps__a_program_in_a_container__then_names_container_and_image(flightrec, container, image):
    listed = flightrec("ps", "--output=json", f"container:{container.name}")
    assert listed.returncode == 0, listed.stderr
    rows = json.loads(listed.stdout)
    assert [row["pid"] for row in rows] == [container.pid]
    row = rows[0]
    assert row["container"] == container.name
    assert row["container_id"] == container.id
    assert row["runtime"] == "podman"
    assert row["image"].startswith(image)
    assert row["executable"] == "/bin/steady"
    assert row["threads"] == THREADS
    assert row["attachable"] is True, row["obstacle_description"]
    assert row["hookable_functions"] >= 5


def changed_text(pid):
    """Executable mappings of files whose bytes are not the file's."""
    changed = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            found = re.match(r"(\w+)-(\w+) ..x. (\w+) \S+ [1-9]\d*\s+(/\S+)", line)
            if not found:
                continue
            low, high, offset = (int(found[i], 16) for i in (1, 2, 3))
            memory.seek(low)
            content = memory.read(high - low)
            with open(f"/proc/{pid}/root{found[4]}", "rb") as file:
                file.seek(offset)
                if not content.startswith(file.read(high - low)):
                    changed.append(found[4])
    return changed


def mappings(pid):
    """What is mapped, but for the heap, which a program changes itself."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        return {line.split()[0] for line in maps if "[heap]" not in line}


def calls_by_function(flightrec):
    report = flightrec("report", "--output=tsv", "--limit=100000")
    assert report.returncode == 0, report.stderr
    rows = csv.DictReader(io.StringIO(report.stdout), delimiter="\t", quoting=csv.QUOTE_NONE)
    return {row["function"]: int(row["calls"]) for row in rows}


def test_attach__to_a_container__then_its_calls_are_recorded_and_nothing_is_left(flightrec, container):
    files, maps = container.changed_files(), mappings(container.pid)
    for pattern in ("**", "*"):
        attached = flightrec("attach", "--duration=1s", "-f", pattern, container.name)
        assert attached.returncode == 0, attached.stderr
        calls = calls_by_function(flightrec)
        # Every thread works the whole time, not only until the tracer has looked at it.
        assert calls["round_of_work"] > 200
        assert abs(calls["work"] - 64 * calls["round_of_work"]) <= 64 * THREADS
        assert calls.get("qsort", 0) == 0 or pattern == "**"
        threads = json.loads(flightrec("sql", "--output=json", "SELECT tid FROM threads").stdout)
        assert {row["tid"] for row in threads} == {int(tid) for tid in os.listdir(f"/proc/{container.pid}/task")}
        assert changed_text(container.pid) == []
    assert mappings(container.pid) == maps
    assert container.changed_files() == files


def test_attach__to_a_program_of_others_with_another_libc__then_recorded_and_nothing_is_left(flightrec, sqlite_image):
    container = Container(sqlite_image, command=("/bin/sqlite3", ":memory:", ENDLESS_QUERY))
    try:
        files, maps = container.changed_files(), mappings(container.pid)
        for pattern in ("*", "**"):
            attached = flightrec("attach", "--duration=500ms", "-f", pattern, container.name)
            assert attached.returncode == 0, attached.stderr
            calls = calls_by_function(flightrec)
            assert calls["hexFunc"] > 1000
            assert len(calls) > 20
            assert changed_text(container.pid) == []
            assert mappings(container.pid) == maps
        assert container.changed_files() == files
    finally:
        container.close()
