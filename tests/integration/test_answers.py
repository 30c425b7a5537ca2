"""Answers to odd questions and about odd programs, as the command line prints them."""

import json
import re
import subprocess

import pytest

DEEP = """
__attribute__((noinline)) int Down(int n) {
  asm volatile("");
  if (n == 0) return 0;
  int below = Down(n - 1);
  asm volatile("" : "+r"(below));
  return below + 1;
}
int main() { return Down(2999) == 7; }
"""
MANY = """
__attribute__((noinline)) int Work(int n) {
  asm volatile("" : "+r"(n));
  return n * 31 + 7;
}
int main() {
  for (int i = 0; i < 1000000; ++i) Work(i);
}
"""


@pytest.fixture
def flightrec(repository, tmp_path):
    binary = repository / "bazel-bin/services/flightrec/flightrec"

    def run(command, *words, stdin=None):
        return subprocess.run([binary, command, f"--store={tmp_path / 'store'}", *words], input=stdin,
                              capture_output=True, text=True, timeout=120, check=False)

    return run


def build(folder, source):
    program = folder / "program"
    program.with_suffix(".cc").write_text(source, encoding="utf-8")
    subprocess.run(["g++", "-O1", "-o", program, program.with_suffix(".cc")], check=True)
    return program


def test_tree__deeper_than_is_shown__then_the_limit_it_names_shows_all(flightrec, tmp_path):
    deep = build(tmp_path, DEEP)
    assert flightrec("run", "--", deep).returncode == 0
    assert "more paths: --limit=3001" in flightrec("tree").stderr
    nodes = flightrec("tree", "--output=json", "--limit=3001")
    assert "more paths" not in nodes.stderr
    assert max(node["depth"] for node in json.loads(nodes.stdout)) == 3000


def test_report__more_calls_than_fit_its_memory__then_the_limit_it_names_shows_all(flightrec, tmp_path):
    many = build(tmp_path, MANY)
    assert flightrec("run", "--max_threads=1", "--lane_bytes=67108864", "--", many).returncode == 0
    small = flightrec("report", "--memory_limit_mb=64")
    assert small.returncode == 1, small.stdout
    assert "raise --memory_limit_mb" in small.stderr
    report = flightrec("report", "--memory_limit_mb=2048", "--output=json")
    assert report.returncode == 0, report.stderr
    assert {row["function"]: row["calls"] for row in json.loads(report.stdout)}["Work(int)"] == 1_000_000


def test_run__lane_too_small_for_all_calls__then_says_how_many_and_names_a_wider_one(flightrec, tmp_path):
    many = build(tmp_path, MANY)
    lossy = flightrec("run", "--lane_bytes=4096", "--", many)
    assert lossy.returncode == 0, lossy.stderr
    advice = re.search(r"[\d,]+ calls were counted but have no times: .*\((--lane_bytes=\d+)\)", lossy.stderr)
    assert advice, lossy.stderr
    assert flightrec("run", advice[1], "--", many).returncode == 0


def test_sql__values_without_a_text__then_program_formats_keep_them(flightrec, target):
    assert flightrec("run", "--", target("exits_with"), "0").returncode == 0
    answer = flightrec("sql", "--output=json", r"SELECT '\xAA\x00'::blob AS a, NULL AS a, 2::hugeint AS b")
    assert json.loads(answer.stdout) == [{"a": "aa00", "a_2": None, "b": "2"}]


def test_sql_tool__tables_in_its_description__then_all_of_the_recording_s_are_there(flightrec, target):
    session = [{"jsonrpc": "2.0", "id": 1, "method": "initialize",
                "params": {"protocolVersion": "2025-11-25", "capabilities": {},
                           "clientInfo": {"name": "test", "version": "1"}}},
               {"jsonrpc": "2.0", "method": "notifications/initialized"},
               {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}]
    listed = flightrec("mcp", stdin="\n".join(map(json.dumps, session)) + "\n")
    tools = json.loads(listed.stdout.splitlines()[-1])["result"]["tools"]
    described = next(tool["description"] for tool in tools if tool["name"] == "sql")
    tables = dict(re.findall(r"(\w+)\(([\w, ]+)\)[,.]", described))
    assert flightrec("run", "--", target("exits_with"), "0").returncode == 0
    shown = json.loads(flightrec("sql", "--output=json", "SHOW TABLES").stdout)
    assert {row["name"] for row in shown} == set(tables)
    for table, columns in tables.items():
        assert flightrec("sql", f"SELECT {columns} FROM {table}").returncode == 0, table
