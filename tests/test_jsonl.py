import json
import math
import subprocess
import sys

import pytest

from pipeline.errors import InputError
from pipeline.jsonl import JsonLines, commit, read, write_atomically

RECORDS = [{"i": 0, "text": "naïve\nline"}, {"i": 1, "nested": {"a": [1, 2.5, None]}}, {"i": 2, "text": "\r\x1e }"}]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def write(path, *records, durable=False):
    file = JsonLines(path, durable=durable)
    for record in records:
        file.append(record)
    file.close()


@pytest.mark.parametrize("durable", [False, True])
def test_records_come_back_in_order(path, durable):
    write(path, *RECORDS, durable=durable)
    assert list(read(path)) == RECORDS
    write(path, {"i": 3}, durable=durable)
    assert list(read(path)) == [*RECORDS, {"i": 3}]


def test_a_line_a_record(path):
    write(path, *RECORDS)
    lines = path.read_text().split("\n")
    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == RECORDS


def test_one_append_of_many_equals_many_of_one(path, tmp_path):
    write(path, *RECORDS)
    together = JsonLines(tmp_path / "together", durable=True)
    together.append(*RECORDS)
    together.close()
    assert (tmp_path / "together").read_bytes() == path.read_bytes()


def test_a_reader_sees_a_record_as_soon_as_it_is_appended(path):
    file = JsonLines(path, durable=False)
    file.append({"i": 0})
    assert list(read(path)) == [{"i": 0}]
    file.close()


def test_a_missing_file_is_empty(path):
    assert list(read(path)) == []


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        ([1.0, math.nan], [1.0, None]),
        ((math.inf, 2), [None, 2]),
        ({"deep": [{"x": math.nan}]}, {"deep": [{"x": None}]}),
        (1e308, 1e308),
        (True, True),
        ("NaN", "NaN"),
    ],
)
def test_what_json_cannot_say_becomes_null(path, value, stored):
    write(path, {"value": value})
    # Strictly JSON: Python's own reader would take NaN.
    [line] = path.read_text().splitlines()
    assert json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON")) == {"value": stored}


def test_a_file_torn_at_any_byte_keeps_its_whole_lines_and_takes_more(path):
    write(path, *RECORDS)
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        kept = RECORDS[: whole[:size].count(b"\n")]
        assert list(read(path)) == kept, size
        write(path, {"i": "next"})
        assert list(read(path)) == [*kept, {"i": "next"}], size


@pytest.mark.parametrize("garbage", [b'{"i": 9', b"\x00" * 64, b"[1]\n", b'"text"\n', b"\xff\xfe\n", b"\n", b"null\n"])
def test_a_tail_that_is_no_record_is_cut_on_opening_only(path, garbage):
    write(path, *RECORDS)
    whole = path.read_bytes()
    path.write_bytes(whole + garbage)
    assert list(read(path)) == RECORDS
    assert path.read_bytes() == whole + garbage  # reading changes nothing
    JsonLines(path, durable=True).close()
    assert path.read_bytes() == whole


def test_write_atomically_replaces_the_whole_file(tmp_path):
    path = tmp_path / "best.yaml"
    write_atomically(path, [b"first, and longer"])
    write_atomically(path, (chunk for chunk in (b"sec", b"ond")))
    assert path.read_bytes() == b"second"
    assert [p.name for p in tmp_path.iterdir()] == ["best.yaml"]


def test_write_atomically_keeps_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "best.yaml"
    write_atomically(path, [b"old"])

    def chunks():
        yield b"half of the new"
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        write_atomically(path, chunks())
    assert path.read_bytes() == b"old"


def test_commit_moves_the_file(tmp_path):
    (tmp_path / "temporary").write_bytes(b"new")
    (tmp_path / "path").write_bytes(b"old")
    commit(tmp_path / "temporary", tmp_path / "path")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"path": b"new"}


@pytest.mark.parametrize("open_it", [lambda path: list(read(path)), lambda path: JsonLines(path, durable=True)])
def test_a_line_damaged_in_the_middle_is_named_and_nothing_behind_it_is_lost(path, open_it):
    path.write_bytes(b'{"n": 1}\n{"n": 2\xff\n{"n": 3}\n')
    with pytest.raises(InputError, match="line 2 is damaged"):
        open_it(path)
    assert path.read_bytes().endswith(b'{"n": 3}\n')


def test_a_full_disk_leaves_no_half_line(path):
    """A file-size limit stands for it: the third append has room for half of its line."""
    script = (
        "import resource, sys; from pathlib import Path; from pipeline.jsonl import JsonLines\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (25, 10_000))\n"
        "log = JsonLines(Path(sys.argv[1]), durable=True)\n"
        "log.append({'n': 100}); log.append({'n': 200})\n"
        "try: log.append({'n': 300})\n"
        "except OSError as error: print(error.strerror)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "log.append({'n': 400})\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert done.stdout in ("No space left on device\n", "File too large\n")
    assert [record["n"] for record in read(path)] == [100, 200, 400]
