"""What keeps hooks out of a process is told with its remedy, and the process stays as it was."""

import contextlib
import pathlib
import subprocess

import pytest

PROGRAM = r"""
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <fcntl.h>
#include <unistd.h>
__attribute__((noinline)) int Work(int value) { return value * 3 + 1; }
static void Reserve(uintptr_t low, uintptr_t high, size_t step) {
  for (; low < high; low += step) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    if (mmap((void*)low, step, PROT_NONE, flags, -1, 0) == MAP_FAILED && step > 4096)
      Reserve(low, low + step, step / 256);
  }
}
static void ShareText(const char* self) {
  char line[512];
  unsigned long low, high, offset;
  char kind[5];
  FILE* maps = fopen("/proc/self/maps", "r");
  while (fgets(line, sizeof(line), maps) != NULL) {
    if (strstr(line, self) == NULL || sscanf(line, "%lx-%lx %4s %lx", &low, &high, kind, &offset) != 4) continue;
    if (kind[2] != 'x') continue;
    const int file = open(self, O_RDONLY);
    mmap((void*)low, high - low, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, (off_t)offset);
    close(file);
  }
  fclose(maps);
}
int main(int argc, char** argv) {
  if (strcmp(argv[1], "crowded") == 0) Reserve(0x10000, 0x100000000, 0x10000000);
  if (strcmp(argv[1], "shared") == 0) ShareText(argv[0]);
  if (strcmp(argv[1], "limited") == 0) {
    const struct rlimit limit = {64 << 20, 64 << 20};
    setrlimit(RLIMIT_AS, &limit);
  }
  puts("ready");
  fflush(stdout);
  int value = argc;
  for (char letter; read(0, &letter, 1) == 1;) value = Work(value);
  return value == 0;
}
"""
REASONS = {
    "crowded": ("within 2 GiB", "-f"),
    "shared": ("shared mapping", "MAP_PRIVATE"),
    "limited": ("Cannot allocate memory", "prlimit --as"),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attach_errors")
    source = folder / "program.c"
    source.write_text(PROGRAM, encoding="utf-8")
    subprocess.run(["gcc", "-O2", "-no-pie", source, "-o", folder / "program"], check=True)
    return folder / "program"


@contextlib.contextmanager
def started(*command):
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "ready\n"
        yield running
        running.stdin.write("xyz")
        running.stdin.close()
    assert running.returncode == 0


def state_of(pid):
    folder = pathlib.Path(f"/proc/{pid}")
    return (folder / "maps").read_text(encoding="utf-8"), sorted(path.name for path in (folder / "fd").iterdir())


@pytest.mark.parametrize("kind", REASONS)
def test_attach__no_room_or_no_way_to_change_code__then_failed_precondition_and_nothing_is_changed(services, program,
                                                                                                  kind):
    with started(program, kind) as running:
        before = state_of(running.pid)
        refused = services.call_error("tracer", "flightrec.capture.v1.CaptureService/Attach",
                                      {"pid": running.pid, "probes": {"patterns": ["Work"]}}, control=True)
        assert refused["code"] == "failed_precondition"
        assert all(word in refused["message"] for word in REASONS[kind]), refused["message"]
        assert state_of(running.pid) == before


def in_own_mounts(script, *arguments):
    return subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", *map(str, arguments)], capture_output=True,
                          text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)


def test_noexec__program_is_there__then_the_mount_is_named(repository, target, tmp_path):
    refused = in_own_mounts('mount -t tmpfs -o noexec tmpfs "$1" && cp "$2" "$1/prog" && exec "$3" run --store="$4" -- "$1/prog"',
                            tmp_path, target("sample"), repository / "bazel-bin/services/flightrec/flightrec", tmp_path / "store")
    assert refused.returncode != 0
    assert "mounted noexec" in refused.stderr


def test_noexec__lanes_are_there__then_it_records_all_the_same_and_doctor_says_so(repository, target, tmp_path):
    mount = 'mount -t tmpfs -o noexec tmpfs /dev/shm && exec "$@"'
    flightrec = repository / "bazel-bin/services/flightrec/flightrec"
    recorded = in_own_mounts(mount, flightrec, "run", f"--store={tmp_path / 'store'}", "--", target("sample"))
    assert recorded.returncode == 0, recorded.stderr
    assert "calls in recording" in recorded.stderr
    asked = in_own_mounts(mount, flightrec, "doctor", f"--store={tmp_path / 'store'}")
    assert "noexec, which does no harm" in asked.stdout
