"""What every test that crosses a process needs: the built binaries, the sample programs, the four services."""

import csv
import os
import pathlib
import signal
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

import services_under_test  # noqa: E402  the path above has to be set first
import tracer_client  # noqa: E402


# Whoever started the tests may ignore signals (nohup does); what the tests start would inherit that.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes long, or packages of the group bench; only with FLIGHTREC_LONG=1")


def pytest_collection_modifyitems(config, items):
    """Left out, not skipped: tests/run takes a test that was skipped for one that failed."""
    if os.environ.get("FLIGHTREC_LONG"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if not item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def repository():
    return REPOSITORY


@pytest.fixture(scope="session")
def buf():
    """The buf command that tests/run installed."""
    return os.environ["FLIGHTREC_BUF"]


@pytest.fixture(scope="session")
def target(repository):
    return lambda name: str(repository / "bazel-bin/tests/targets" / name)


@pytest.fixture(scope="session")
def sample_counts(repository):
    with open(repository / "tests/targets/sample_counts.tsv", encoding="utf-8") as table:
        return {row["function"]: int(row["calls"]) for row in csv.DictReader(table, delimiter="\t")}


@pytest.fixture
def services(repository, buf, tmp_path):
    running = services_under_test.FourProcesses(repository, buf, tmp_path)
    try:
        running.start_all()
        yield running
    finally:
        running.stop_all()


@pytest.fixture
def free_port():
    return services_under_test.free_port()


@pytest.fixture(scope="session")
def tracer_code(repository, buf, tmp_path_factory):
    """Generated code that tracer_client imports."""
    tracer_client.generate(buf, repository, tmp_path_factory.mktemp("tracer_client"))


@pytest.fixture
def tracer(repository, buf, tmp_path, tracer_code):
    """A client of a tracer of its own; its backend keeps what is recorded."""
    (tmp_path / "services").mkdir()
    running = services_under_test.FourProcesses(repository, buf, tmp_path / "services")
    try:
        for name in ("backend", "tracer"):
            running.start(name)
        client = tracer_client.TracerClient(running.address("tracer"), running.control_token_file)
        yield client
        client.close()
    finally:
        running.stop_all()
