"""What the documents tell a reader to type: every command runs, every flag and link exists."""

import json
import pathlib
import re
import shlex
import subprocess

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SERVICES = ["tracer", "backend", "query_engine", "mcp_bridge"]
PAGES = [REPOSITORY / "README.md", *(REPOSITORY / "services" / name / "README.md" for name in SERVICES)]
# tests/clean_machine and tests/run --long run these.
SCRIPTS = {"deploy/quickstart", "tests/run", "tests/bench overhead"}


def commands(page):
    """The shell commands of a page, in order: from ```sh blocks and indented lines."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    blocks += re.findall(r"^    (\w.*\n)", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        if line.strip():
            yield line


def words_of(command):
    words = shlex.split(command, comments=True)
    return words[:-1] if words[-1] == "&" else words


def named(program):
    return [words for page in PAGES for words in map(words_of, commands(page)) if words[0] == program]


def flags_of(binary):
    shown = subprocess.run([REPOSITORY / "bazel-bin/services" / binary / binary, "--help"], capture_output=True,
                           text=True, timeout=60, check=False).stdout
    return set(re.findall(r"^\s+(--\w+) \(", shown, re.M))


def flag_rows(page):
    """(service or None, flag) of each table of flags; one that has a column for it names the service."""
    header = []
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells or not header:
            header = cells
        elif "flag" in header:
            service = cells[header.index("service")] if "service" in header else None
            for flag in re.findall(r"`(--\w+)", cells[header.index("flag")]):
                yield service, flag


def test_commands__of_the_readme__then_each_is_run_by_a_test():
    known = {"bazel", "alias", "flightrec", "grpcurl", *(f"bazel-bin/services/{name}/{name}" for name in SERVICES)}
    for command in commands(REPOSITORY / "README.md"):
        words = words_of(command)
        assert words[0] in known or " ".join(words) in SCRIPTS or words[0].startswith("TOKEN="), command
    for script in SCRIPTS:
        assert (REPOSITORY / script.split()[0]).stat().st_mode & 0o111, script


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_flags__of_the_tables__then_help_of_the_binary_has_them(page):
    rows = list(flag_rows(page))
    assert rows
    for service, flag in rows:
        owners = [service] if service else [page.parent.name] if page.parent.name in SERVICES else SERVICES
        for owner in owners:
            assert flag in flags_of(owner), f"{page}: {owner} has no {flag}"


@pytest.mark.parametrize("name", SERVICES)
def test_command_lines__that_start_a_service__then_their_flags_exist(name):
    lines = named(f"bazel-bin/services/{name}/{name}")
    assert lines
    for words in lines:
        assert {word.split("=")[0] for word in words[1:]} <= flags_of(name), words


def test_flightrec__each_line_of_the_readme__then_runs(tmp_path):
    binary = REPOSITORY / "bazel-bin/services/flightrec/flightrec"
    lines = named("flightrec")
    assert len(lines) >= 6
    for words in lines:
        ran = subprocess.run([binary, words[1], f"--store={tmp_path / 'store'}", *words[2:]], cwd=tmp_path,
                             capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0 and ran.stdout, (words, ran.stderr)


def test_grpcurl__each_line__then_the_call_succeeds(services):
    services_by_port = {7071 + i: name for i, name in enumerate(SERVICES)}
    lines = sorted(named("grpcurl"), key=lambda words: not words[-1].endswith("/Launch"))
    assert len(lines) >= 7
    for words in lines:
        name = services_by_port[int(words[-2].rsplit(":", 1)[1])]
        if words[-1] == "list":
            assert services.list_services(name)
            continue
        request = json.loads(words[words.index("-d") + 1]) if "-d" in words else {}
        answer = services.call(name, words[-1], request, control="-H" in words)
        if words[-1].endswith("/Launch"):
            services.call(name, "flightrec.capture.v1.CaptureService/WatchRecording",
                          {"recording": answer["recording"]["name"]}, control=True, stream=True)


def test_methods__listed_as_not_built__then_answer_unimplemented_and_no_other_does(services):
    table = (REPOSITORY / "services/README.md").read_text(encoding="utf-8").split("## Not built yet")[1]
    listed = {f"{service}/{method}" for service, methods in re.findall(r"^\| `([\w.]+)` \| (`.*) \|$", table, re.M)
              for method in re.findall(r"`(\w+)`", methods)}
    assert len(listed) > 10
    unbuilt = set()
    for name in SERVICES:
        for service in services.list_services(name):
            if not service.startswith("flightrec."):
                continue
            for method in services.list_methods(name, service):
                asked = services.try_call(name, method, {}, control=name == "tracer")
                if asked.returncode != 0 and json.loads(asked.stderr)["code"] == "unimplemented":
                    assert "not built yet" in json.loads(asked.stderr)["message"], method
                    unbuilt.add(method)
    assert unbuilt == listed


def test_links__of_every_page__then_lead_somewhere():
    pages = subprocess.run(["git", "ls-files", "*.md"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for page in map(REPOSITORY.joinpath, pages.stdout.split()):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert "://" in link or (page.parent / link).exists(), f"{page}: {link}"
