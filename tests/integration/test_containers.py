"""A program of another C library in a podman container without any file of ours."""

import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import uuid

import pytest

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


class Container:
    def __init__(self, image, *options):
        self.name = f"flightrec-{uuid.uuid4().hex}"
        started = podman("--runtime", "runc", "run", "-d", "--name", self.name, "--read-only", "--network", "none",
                         "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", *options, image, "/bin/steady",
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
    one = Container(image)
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
