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


# Whoever started the tests may ignore signals (nohup does); what the tests start would inherit that.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


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
