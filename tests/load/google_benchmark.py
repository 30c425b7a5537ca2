"""Builds one Google Benchmark program of the repository, runs it and gives its counters."""

import json
import pathlib
import statistics
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN_SECONDS = 600


def counters(label, only, repetitions=1):
    """{benchmark's name up to the first `/iterations`: {counter: median of the repetitions}}."""
    subprocess.run(["bazel", "build", label], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)
    program = ROOT / "bazel-bin" / label.removeprefix("//").replace(":", "/")
    result = subprocess.run(
        [program, f"--benchmark_filter={only}", f"--benchmark_repetitions={repetitions}", "--benchmark_format=json"],
        check=True, capture_output=True, text=True, timeout=RUN_SECONDS, stdin=subprocess.DEVNULL)
    values = {}
    for run in json.loads(result.stdout)["benchmarks"]:
        if run["run_type"] != "iteration":
            continue
        if run.get("error_occurred"):
            raise RuntimeError(f"{run['name']}: {run['error_message']}")
        of_one = values.setdefault(run["name"].split("/iterations")[0], {})
        for name, value in run.items():
            if isinstance(value, float):
                of_one.setdefault(name, []).append(value)
    return {name: {key: statistics.median(many) for key, many in of_one.items()} for name, of_one in values.items()}
