"""Programs of which little is left: static and stripped, without unwind information, of Go."""

import json
import shutil
import subprocess

import pytest

THROWS = r"""
#include <cstdio>
#include <stdexcept>
__attribute__((noinline)) int Thrower(int x) { if (x % 3 == 0) throw std::runtime_error("three"); return x * 2; }
__attribute__((noinline)) int Middle(int x) { return Thrower(x) + 1; }
__attribute__((noinline)) int Catcher(int x) { try { return Middle(x); } catch (const std::exception&) { return -1; } }
int main() { long sum = 0; for (int i = 0; i < 1000; ++i) sum += Catcher(i); std::printf("sum %ld\n", sum); }
"""
JUMPS = r"""
#include <setjmp.h>
#include <stdio.h>
static jmp_buf back;
__attribute__((noinline)) void Leave(int value) { longjmp(back, value); }
__attribute__((noinline)) void Middle(int value) { Leave(value + 1); puts("never"); }
int main(void) {
  volatile int sum = 0;
  for (volatile int i = 0; i < 100; ++i) {
    const int value = setjmp(back);
    if (value == 0) Middle(i);
    sum += value;
  }
  return printf("sum %d\n", sum) < 0;
}
"""
WAITS = "#include <unistd.h>\nint main(void) { char byte; write(1, \"ready\\n\", 6); return (int)read(0, &byte, 1); }\n"
# Where a linker other than Go's may put it.
GO_DATA = '__attribute__((used, aligned(16))) char info[] = "\\xff Go buildinf:";\n' + WAITS


@pytest.fixture
def flightrec(repository, tmp_path):
    def run(command, *arguments):
        return subprocess.run([repository / "bazel-bin/services/flightrec/flightrec", command,
                               f"--store={tmp_path / 'store'}", *map(str, arguments)], capture_output=True, text=True,
                              timeout=120, check=False, stdin=subprocess.DEVNULL)

    return run


def compile_text(tmp_path, text, name, compiler, *flags):
    source = tmp_path / f"{name}.{'cc' if compiler == 'g++' else 'c'}"
    source.write_text(text, encoding="utf-8")
    program = tmp_path / name
    subprocess.run([compiler, "-O2", *flags, source, "-o", program], check=True)
    return program


def drop_sections(program):
    """As tools do that leave nothing which running does not need."""
    content = bytearray(program.read_bytes())
    content[0x28:0x30] = bytes(8)  # e_shoff
    content[0x3C:0x40] = bytes(4)  # e_shnum, e_shstrndx
    program.write_bytes(content)


@pytest.mark.parametrize("flags", [("-static", "-s"), ("-static-pie", "-s"), ("-s", "-static-libgcc")], ids="".join)
def test_stripped__exceptions_cross_hooked_functions__then_output_is_the_same(flightrec, tmp_path, flags):
    program = compile_text(tmp_path, THROWS, "throws", "g++", *flags)
    recorded = flightrec("run", "--", program)
    assert (recorded.returncode, recorded.stdout) == (0, "sum 665666\n"), recorded.stderr
    rows = json.loads(flightrec("report", "--output=json").stdout)
    calls = sorted((row["calls"] for row in rows if row["function"].startswith("sub_")), reverse=True)
    # Catcher, Middle and Thrower.
    assert calls.count(1000) >= 3


def test_stripped__setjmp_without_a_name__then_comes_back_as_often(flightrec, tmp_path):
    program = compile_text(tmp_path, JUMPS, "jumps", "gcc", "-static", "-s")
    recorded = flightrec("run", "--", program)
    assert (recorded.returncode, recorded.stdout) == (0, "sum 5050\n"), recorded.stderr


def test_stripped__static_without_unwind_information__then_says_that_nothing_is_known(flightrec, tmp_path):
    program = compile_text(tmp_path, WAITS, "bare", "gcc", "-static", "-s")
    subprocess.run(["objcopy", "--remove-section=.eh_frame", program], check=True)
    for command in ("run", "plan"):
        refused = flightrec(command, "--", program)
        assert refused.returncode != 0
        assert "neither symbols nor unwind information" in refused.stderr


@pytest.mark.parametrize("sections", [True, False])
def test_go__stripped__then_refused_because_stacks_move(flightrec, repository, tmp_path, sections):
    program = tmp_path / "go"
    if sections:
        shutil.copy(repository / "bazel-bin/services/tracer/host/testdata/go_sections", program)
        subprocess.run(["strip", program], check=True)
    else:
        program = compile_text(tmp_path, GO_DATA, "go", "gcc", "-s")
        drop_sections(program)
    refused = flightrec("run", "--", program)
    assert refused.returncode != 0
    assert "stacks" in refused.stderr
    rows = json.loads(flightrec("plan", "--output=json", "--", program).stdout)
    assert [row["how"] for row in rows] == ["GO_RUNTIME"]


def test_go__running_and_stripped__then_not_attached_to(flightrec, tmp_path):
    program = compile_text(tmp_path, GO_DATA, "go", "gcc", "-s")
    drop_sections(program)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"ready\n"
        refused = flightrec("attach", running.pid)
        running.stdin.close()
    assert refused.returncode != 0
    assert "Go program" in refused.stderr
