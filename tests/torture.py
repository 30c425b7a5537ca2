"""Builds the torture program in its variants and knows what each case must do: for tests and benchmarks."""

import csv
import dataclasses
import pathlib
import subprocess

SOURCES = pathlib.Path(__file__).resolve().parent / "targets/torture"


@dataclasses.dataclass(frozen=True)
class Variant:
    """How the program is compiled; C sources by the C compiler of the same family."""

    options: tuple = ("-O2",)
    link: tuple = ()
    cxx: str = "g++"
    cc: str = "gcc"


VARIANTS = {
    "plain": Variant(),
    "O0": Variant(("-O0",)),
    "O3_lto": Variant(("-O3", "-flto")),
    "cet": Variant(("-O2", "-fcf-protection=full")),
    "clang": Variant(cxx="clang++", cc="clang"),
    "static_libgcc": Variant(link=("-static-libgcc", "-static-libstdc++")),
    "static": Variant(link=("-static",)),
    "pg": Variant(("-O2", "-pg", "-no-pie"), ("-pg", "-no-pie")),
}


def build(variant, folder):
    """Compiles the program; returns its path."""
    how = VARIANTS[variant]
    objects, compilers = [], []
    for source in sorted([*SOURCES.glob("*.cc"), *SOURCES.glob("*.c")]):
        language = [how.cxx, "-std=c++20"] if source.suffix == ".cc" else [how.cc, "-fexceptions"]
        objects.append(folder / f"{variant}-{source.stem}.o")
        compilers.append(subprocess.Popen([*language, *how.options, "-g1", "-w", "-c", source, "-o", objects[-1]]))
        if len(compilers) % 2 == 0:
            compilers[-2].wait()
    assert not any([compiler.wait() for compiler in compilers]), f"variant {variant} does not compile"
    program = folder / f"torture-{variant}"
    subprocess.run([how.cxx, *how.options, *objects, *how.link, "-pthread", "-z", "execstack", "-o", program],
                   check=True)
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
