"""The format pages say where the code puts its fields: golden files are read by the pages' tables."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\d+) \| (\d+) \| (\w+)", re.M)


def tables(page):
    """Rows (offset, bytes, field) of each section of a page that has such a table."""
    sections = re.split(r"^#+ ", (ROOT / page).read_text(), flags=re.M)
    found = {}
    for section in sections:
        rows = [(int(offset), int(size), field) for offset, size, field in ROW.findall(section)]
        if rows:
            found[section.split("\n", 1)[0]] = rows
    return found


def fields(rows, data):
    """Field to value: an integer up to 8 bytes, else the bytes."""
    values = {}
    for offset, size, name in rows:
        raw = data[offset : offset + size]
        values[name] = int.from_bytes(raw, "little") if size <= 8 else raw
    return values


def assert_rows_do_not_overlap(rows, end):
    for (offset, size, name), (following, _, _) in zip(rows, rows[1:] + [(end, 0, "")], strict=True):
        assert offset + size <= following, name


def snake_case(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


LANE_HEADER = {
    "magic": int.from_bytes(b"FRLANE\0\1", "little"),
    "version": 2,
    "header_bytes": 4096,
    "required_features": 0,
    "slot_bytes": 16384,
    "slot_count": 2,
    "function_count": 3,
    "drops_offset": 4096,
    "shadow_offset": 8192,
    "shadow_entries": 128,
    "ring_offset": 12288,
    "ring_bytes": 4096,
    "pid": 4242,
    "process_start_ticks": 77,
    "boot_id": b"01234567-89ab-cdef".ljust(40, b"\0"),
    "filtered_offset": 0,
    "thread_ordinals": 1001,
    "refused_by_limit": 1002,
    "refused_by_memory": 1003,
    "refused_calls": 1004,
    "slot_releases": 1005,
    "free_slots": (1).to_bytes(128, "little"),
    "functions_in_use": 3,
    "library_watch": 0,
    "library_request": 0,
    "library_answer": 0,
    "tracer_beat": 0,
    "library_given_up": 0,
    "children_fork": 1006,
    "children_vfork": 1007,
    "children_posix_spawn": 1008,
    "children_clone": 1009,
    "execs_begun": 1010,
    "execs_failed": 1011,
    "refused_tids": (1012).to_bytes(2048, "little"),
    "calls_durable": 0,
    "clock_ticks": 0,
}
LANE_SLOT = {
    "state": 2,
    "tid": 2001,
    "thread_pointer": 2002,
    "thread_ordinal": 2003,
    "start_ticks": 2004,
    "ring_populated": 2005,
    "shadow_populated": 2006,
    "call_limit": 0,
    "own_call_limit": 0,
    "head": 2007,
    "tail": 2008,
    "dropped_full": 2009,
    "dropped_depth": 2010,
    "dropped_migrated": 2011,
    "drained_thread": 0,
    "drained_chunks": 0,
    "drained_ordinal": 0,
    "drained_ticks": 0,
}
OPEN_CALL = {"start_ticks": 4001, "path": 4002, "function_index": 4003, "ordinal_low": 4004}
CALL_RECORD = {"start_ticks": 5001, "end_ticks": 5002, "path": 5003, "function_index": 5004, "ordinal_low": 5005}


def test_golden_lane_file__reads_by_the_tables_of_its_page():
    page = tables("services/tracer/lane/FORMAT.md")
    golden = (ROOT / "tests/golden/lane_v2.bin").read_bytes()
    header = fields(page["FileHeader"], golden)
    assert header == LANE_HEADER
    assert len(golden) == header["header_bytes"] + header["slot_count"] * header["slot_bytes"]
    slot = golden[header["header_bytes"] + header["slot_bytes"] :]
    assert fields(page["Slot"], slot) == LANE_SLOT
    drops = slot[header["drops_offset"] :]
    assert int.from_bytes(drops[2 * 8 : 3 * 8], "little") == 3001
    assert fields(page["OpenCallEntry"], slot[header["shadow_offset"] + 32 :]) == OPEN_CALL
    assert fields(page["CallRecord"], slot[header["ring_offset"] + 32 :]) == CALL_RECORD


def test_lane_page__lists_every_field_of_the_structs_and_no_bytes_twice():
    page = tables("services/tracer/lane/FORMAT.md")
    layout = (ROOT / "services/tracer/lane/layout.h").read_text()
    structs = {"FileHeader": "FileHeader", "Slot": "SlotControl", "OpenCallEntry": "OpenCallEntry", "CallRecord": "CallRecord"}
    ends = {"FileHeader": 4096, "Slot": 4096, "OpenCallEntry": 32, "CallRecord": 32}
    for section, struct in structs.items():
        body = re.search(rf"struct {struct} {{(.*?)^}};", layout, re.S | re.M).group(1)
        code = re.sub(r"//.*", "", body)
        declared = re.findall(r"(\w+)(?:\[[^\]]*\])?;", code)
        assert [name for _, _, name in page[section]] == [name for name in declared if name != "reserved"]
        assert_rows_do_not_overlap(page[section], ends[section])


# What common/chunk/golden_test.cc wrote.
CHUNK_HEADER = {
    "magic": int.from_bytes(b"FRCHUNK\0", "little"),
    "version": 1,
    "header_bytes": 184,
    "required_features": 0,
    "architecture": 1,
    "lane": 1,
    "compression": 1,
    "flags": 1,
    "process_id": 0x1112131415161718,
    "thread_id": 0x2122232425262728,
    "tid": 4243,
    "call_count": 4,
    "chunk_ordinal": 7,
    "ref_ticks": 1500,
    "ref_epoch_ns": 1_700_000_000_000_000_000,
    "ns_per_tick_q32": 0x62762762,
    "uncertainty_ns": 19,
    "clock_error_ticks": 3,
    "min_start_ticks": 2000,
    "max_end_ticks": 3100,
    "min_ordinal": 2,
    "max_ordinal": 6,
    "lost_before_total": 6,
    "function_count": 3,
    "path_count": 2,
    "open_call_count": 1,
    "lost_function_count": 1,
}


def test_golden_chunk__reads_by_the_table_of_its_page():
    rows = tables("common/chunk/FORMAT.md")["Header"]
    golden = (ROOT / "tests/golden/chunk_v1.bin").read_bytes()
    values = fields(rows, golden)
    assert values.pop("recording").hex() == "01563e3ab5d3d6764c61efb99302bd5b"
    assert values.pop("checksum") == crc32c(golden[:12] + golden[16:])
    assert values.pop("compressed_bytes") == len(golden) - 184
    assert values.pop("payload_bytes") == 70
    assert values == CHUNK_HEADER


def test_chunk_page__has_the_offsets_of_the_code_without_gaps():
    rows = tables("common/chunk/FORMAT.md")["Header"]
    code = (ROOT / "common/chunk/format.h").read_text()
    offsets = {snake_case(name): int(offset) for name, offset in re.findall(r"kOffset(\w+) = (\d+);", code)}
    assert {name: offset for offset, _, name in rows} == offsets
    ends = [offset + size for offset, size, _ in rows]
    assert ends == [offset for offset, _, _ in rows[1:]] + [184]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
