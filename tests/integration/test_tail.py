"""`flightrec tail`: a recording as its chunks become durable."""

import csv
import io
import json
import subprocess


def run(repository, store, *arguments):
    command = [repository / "bazel-bin/services/flightrec/flightrec", arguments[0], f"--store={store}", *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_sealed_recording__tailed__then_every_chunk_and_the_totals(repository, tmp_path, target):
    store = tmp_path / "store"
    assert run(repository, store, "run", "--", target("sample")).returncode == 0
    (total,) = json.loads(run(repository, store, "sql", "--output=json", "select count(*) as calls from calls").stdout)
    tailed = run(repository, store, "tail", "--output=tsv")
    assert tailed.returncode == 0, tailed.stderr
    rows = list(csv.DictReader(io.StringIO(tailed.stdout), delimiter="\t"))
    assert [int(row["position"]) for row in rows] == list(range(1, len(rows) + 1))
    assert sum(int(row["calls"]) for row in rows) == total["calls"]
    assert "the recording is complete" in tailed.stderr


def test_program_that_runs__tailed__then_chunks_come_before_it_ends(repository, tmp_path, target):
    store = tmp_path / "store"
    command = [repository / "bazel-bin/services/flightrec/flightrec", "run", f"--store={store}", "-f", "Leaf", "--",
               target("leaf_loop"), "1000000000", "1", "1000000"]
    recorder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        while True:
            tailed = run(repository, store, "tail", "--limit=2", "--output=json")
            if tailed.returncode == 0:
                break
            assert recorder.poll() is None, tailed.stderr
        assert [json.loads(line)["position"] for line in tailed.stdout.splitlines()] == [1, 2]
        assert recorder.poll() is None
    finally:
        recorder.terminate()
        recorder.communicate()
