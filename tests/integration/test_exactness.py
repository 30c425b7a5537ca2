"""Counts that can be trusted: two of the programs of tests/exactness, and one program recorded twice."""

import subprocess

import pytest


@pytest.mark.parametrize("program", ["xz", "perl_threads"])
def test_program_of_debian__then_output_is_its_own_and_counts_are_those_of_callgrind(repository, program):
    ran = subprocess.run([repository / "tests/exactness", "--only", program], capture_output=True, text=True,
                         timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_program_recorded_twice__then_functions_and_calling_contexts_have_the_same_counts(
        repository, tmp_path, target):
    flightrec = repository / "bazel-bin/services/flightrec/flightrec"
    statement = ("SELECT path_id, parent_path_id, count(*) FROM calls JOIN paths USING (path_id)"
                 " GROUP BY ALL ORDER BY ALL")

    def contexts(store):
        subprocess.run([flightrec, "run", f"--store={store}", "--", target("sample")], check=True,
                       capture_output=True, timeout=120)
        return subprocess.run([flightrec, "sql", f"--store={store}", "--output=tsv", "@latest", statement],
                              check=True, capture_output=True, text=True, timeout=120).stdout

    first = contexts(tmp_path / "first")
    assert len(first.splitlines()) > 10
    assert contexts(tmp_path / "second") == first
