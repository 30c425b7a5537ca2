"""Builds the torture program in its variants and knows what each case must do: for tests and benchmarks."""

import csv
import dataclasses
import os
import pathlib
import shutil
import subprocess
import tempfile

SOURCES = pathlib.Path(__file__).resolve().parent / "targets/torture"


@dataclasses.dataclass(frozen=True)
class Variant:
    """How the program is compiled; C sources by the C compiler of the same family."""

    options: tuple = ("-O2",)
    link: tuple = ()
    cxx: str = "g++"
    cc: str = "gcc"
    # Another release of Debian, whose compilers and libraries are taken.
    release: str = ""


VARIANTS = {
    "plain": Variant(),
    "O0": Variant(("-O0",)),
    "O3_lto": Variant(("-O3", "-flto")),
    "cet": Variant(("-O2", "-fcf-protection=full")),
    "clang": Variant(cxx="clang++", cc="clang"),
    "static_libgcc": Variant(link=("-static-libgcc", "-static-libstdc++")),
    "static": Variant(link=("-static",)),
    "pg": Variant(("-O2", "-pg", "-no-pie"), ("-pg", "-no-pie")),
    "debian_11": Variant(("-O2", "-fcoroutines"), release="bullseye"),
    "debian_13": Variant(release="trixie"),
}


def system_root(release):
    """A folder with Debian's base system of this release and its compilers; made once."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "flightrec-systems"
    root = cache / release
    if not root.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = pathlib.Path(tempfile.mkdtemp(prefix=f"{release}.", dir=cache))
        subprocess.run(["debootstrap", "--variant=minbase", "--include=g++,libc6-dev", release, fresh], check=True,
                       stdout=subprocess.DEVNULL)
        fresh.chmod(0o755)
        fresh.rename(root)
    return root


def compile_torture(how, sources, objects, program, inside=(), link=()):
    """The compilers are started by the words of `inside`."""
    compilers = []
    for source, compiled in zip(sources, objects):
        language = [how.cxx, "-std=c++20"] if source.suffix == ".cc" else [how.cc, "-fexceptions"]
        compilers.append(subprocess.Popen([*inside, *language, *how.options, "-g1", "-w", "-c", source, "-o", compiled]))
        if len(compilers) % 2 == 0:
            compilers[-2].wait()
    assert not any([compiler.wait() for compiler in compilers]), f"{how} does not compile"
    subprocess.run([*inside, how.cxx, *how.options, *objects, *how.link, *link, "-pthread", "-z", "execstack", "-o",
                    program], check=True)


def compile_in(root, how, sources, program):
    """The program runs here with the loader and the libraries of that system."""
    libraries = [root / "lib/x86_64-linux-gnu", root / "usr/lib/x86_64-linux-gnu"]
    link = (f"-Wl,--dynamic-linker={libraries[0] / 'ld-linux-x86-64.so.2'}", "-Wl,--disable-new-dtags",
            f"-Wl,-rpath,{libraries[0]}:{libraries[1]}")
    with tempfile.TemporaryDirectory(prefix="torture-", dir=root / "tmp") as folder:
        for source in [*sources, *SOURCES.glob("*.h")]:
            shutil.copy(source, folder)
        there = pathlib.Path("/tmp") / pathlib.Path(folder).name
        copies = [there / source.name for source in sources]
        compile_torture(how, copies, [copy.with_suffix(copy.suffix + ".o") for copy in copies], there / program.name,
                        ("chroot", root, "env", "PATH=/usr/bin:/bin"), link)
        shutil.copy(pathlib.Path(folder) / program.name, program)


def build(variant, folder):
    """Compiles the program; returns its path."""
    how = VARIANTS[variant]
    sources = sorted([*SOURCES.glob("*.cc"), *SOURCES.glob("*.c")])
    program = folder / f"torture-{variant}"
    if how.release:
        compile_in(system_root(how.release), how, sources, program)
    else:
        compile_torture(how, sources, [folder / f"{variant}-{source.stem}.o" for source in sources], program)
    return program


@dataclasses.dataclass
class Expected:
    """Calls of one function: between least and most, how many of them open or lost, which other functions
    of the table may be their callers (None: any).
    """

    least: int
    most: int
    open: int | None = 0
    lost: int | None = 0
    callers: frozenset | None = frozenset()
    recorded: int | None = None


def number(text):
    return None if text == "*" else int(text)


def read_table():
    """The expected calls by case and function; those of case * happen in every case."""
    table = {}
    with open(SOURCES / "calls.tsv", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            calls = int(row["calls"])
            table.setdefault(row["case"], {})[row["function"]] = Expected(
                calls, calls, number(row["open"]), number(row["lost"]),
                None if row["callers"] == "*" else frozenset(row["callers"].split()))
    always = table.pop("*")
    return {case: {**always, **functions} for case, functions in table.items()}


def apply_counts_file(expected, path):
    """What the program itself found out: lines `function TAB calls`, with <= or >= in front for one side
    only, = for those recorded.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for function, calls in (line.split("\t") for line in lines):
        entry = expected[function.lstrip("<>=")]
        if function.startswith("="):
            entry.recorded = int(calls)
            continue
        if not function.startswith("<="):
            entry.least = int(calls)
        if not function.startswith(">="):
            entry.most = int(calls)
