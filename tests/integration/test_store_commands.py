"""What is done with a store: fsck, backup, restore, delete, undelete, as a user does it."""

import json
import subprocess

import pytest

CALLS = 200_000
SECONDS = 120


@pytest.fixture
def flightrec(repository, tmp_path):
    def run(*arguments, store="store"):
        return subprocess.run(
            [repository / "bazel-bin/services/flightrec/flightrec", arguments[0], f"--store={tmp_path / store}",
             *arguments[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False)
    return run


@pytest.fixture
def recording(flightrec, target):
    """The name of a recording of leaf_loop."""
    ran = flightrec("run", "-f", "Leaf", "--", target("leaf_loop"), str(CALLS), "1")
    assert ran.returncode == 0, ran.stderr
    return names(flightrec)[0]


def rows(ran):
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def names(flightrec, store="store"):
    return [row["recording"] for row in rows(flightrec("recordings", "--output=json", store=store))]


def calls(flightrec, store="store"):
    answer = rows(flightrec("sql", "--output=json", "SELECT count(*) AS n FROM calls", store=store))
    return int(answer[0]["n"])


def test_backup_is_restored__then_the_new_store_answers_the_same(flightrec, recording, tmp_path):
    backed_up = flightrec("backup", "copy")
    assert backed_up.returncode == 0, backed_up.stderr
    assert flightrec("backup", "copy").returncode == 1, "a backup is never written over"
    restored = flightrec("restore", "copy", store="restored")
    assert restored.returncode == 0, restored.stderr
    assert names(flightrec, store="restored") == [recording]
    assert calls(flightrec, store="restored") == calls(flightrec) > 0
    assert flightrec("fsck", store="restored").returncode == 0
    assert not list((tmp_path / "store").glob("*.checkpoint"))


def test_backup_is_damaged__then_it_is_not_restored_and_the_file_is_named(flightrec, recording, tmp_path):
    assert flightrec("backup", "copy").returncode == 0
    largest = max((tmp_path / "copy").iterdir(), key=lambda path: path.stat().st_size)
    flip_byte(largest)
    restored = flightrec("restore", "copy", store="restored")
    assert restored.returncode == 1
    assert largest.name in restored.stderr
    assert not (tmp_path / "restored").exists()


def flip_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_stored_chunk_is_damaged__then_fsck_names_it_and_it_is_not_given_out(flightrec, recording, tmp_path):
    whole = flightrec("fsck")
    assert whole.returncode == 0 and "0 damages" in whole.stdout, whole
    largest = max((tmp_path / "store").glob("*.blob"), key=lambda path: path.stat().st_size)
    flip_byte(largest)
    found = flightrec("fsck", "--output=json")
    assert found.returncode == 1
    damages = json.loads(found.stdout)
    placed = [damage for damage in damages if recording in damage["recording"]]
    assert any(int(damage["position"]) > 0 and damage["family"] == "chunks" for damage in placed)
    # The first chunk of all is found once more, without its key, when recordings are looked for.
    others = [damage for damage in damages if damage not in placed]
    assert len(others) <= 1 and all(damage["family"] == "chunks" for damage in others), damages
    assert flightrec("report").returncode == 1


def test_recording_is_deleted_and_brought_back__then_it_answers_as_before(flightrec, recording):
    before = calls(flightrec)
    assert flightrec("delete", recording).returncode == 0
    assert names(flightrec) == []
    assert flightrec("delete", recording).returncode == 1
    assert flightrec("undelete", recording).returncode == 0
    assert names(flightrec) == [recording]
    assert calls(flightrec) == before
    assert flightrec("undelete", recording).returncode == 1


def test_recording_is_deleted__then_it_is_listed_among_those_until_it_is_brought_back(flightrec, recording):
    assert rows(flightrec("recordings", "--deleted", "--output=json")) == []
    assert flightrec("delete", recording).returncode == 0
    (deleted,) = rows(flightrec("recordings", "--deleted", "--output=json"))
    assert deleted["recording"] == recording and "leaf_loop" in deleted["command"]
    assert deleted["deleted"] < deleted["removed_for_good"]
    assert flightrec("undelete", recording).returncode == 0
    assert rows(flightrec("recordings", "--deleted", "--output=json")) == []


def test_recording_is_sealed__then_its_last_received_time_is_shown_to_programs(flightrec, recording):
    (row,) = rows(flightrec("recordings", "--output=json"))
    assert row["last_received"] >= row["started"]
    assert "silent" not in flightrec("recordings").stdout


def test_directories_are_named_with_a_slash__then_backup_and_restore_do_as_without(flightrec, recording, tmp_path):
    backed_up = flightrec("backup", "copy/")
    assert backed_up.returncode == 0, backed_up.stderr
    restored = flightrec("restore", "copy/", store="restored/")
    assert restored.returncode == 0, restored.stderr
    assert names(flightrec, store="restored") == [recording]
    assert not list(tmp_path.glob("**/*.part"))


def test_backup_and_restore_end__then_their_files_and_names_are_on_disk(flightrec, repository, recording, tmp_path):
    for arguments, made in ((["backup", "copy"], "copy"), (["restore", "copy", "--store=restored"], "restored")):
        trace = tmp_path / "trace"
        command = [repository / "bazel-bin/services/flightrec/flightrec", *arguments]
        if arguments[0] == "backup":
            command.append(f"--store={tmp_path / 'store'}")
        subprocess.run(["strace", "-f", "-y", "-o", trace, "-e", "trace=fsync,rename", *command], cwd=tmp_path, check=True,
                       stdout=subprocess.DEVNULL, timeout=SECONDS)
        # Its files, its own list of them, its name where it is.
        calls_made = [line.split(maxsplit=1)[1] for line in trace.read_text().splitlines()]
        renamed = next(i for i, call in enumerate(calls_made) if call.startswith(f'rename("{made}.part"'))
        assert any(call.startswith("fsync(") and f"/{made}.part>" in call for call in calls_made[:renamed])
        assert any(call.startswith("fsync(") and f"<{tmp_path}>" in call for call in calls_made[renamed:])
