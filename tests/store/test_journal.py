from __future__ import annotations

import errno
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbench.errors import StoreError
from qbench.records import CellRecord, Failure, ScoreRecord
from qbench.store.journal import HEADER, JournalWriter, read_journal

CELL = CellRecord(key="k", image="face", point="jpeg:quality=5", outcome="coded", bitstream_size=7, session="s", at="t")


def score(value, **changes):
    fields = {"key": "k", "image": "i", "point": "p", "metric": "m", "session": "s", "at": "t"}
    return ScoreRecord(**{**fields, "outcome": "scored", "values": {"m": value}, **changes})


def write(path, *records):
    with JournalWriter(path) as journal:
        journal.append(records)


def test_reads_back_what_was_appended(tmp_path):
    path = tmp_path / "journal.jsonl"
    failure = Failure(plugin="codec x", error="ValueError", message="two\nlines “ü”", traceback="…")
    failed = score(0, outcome="failed", values={}, failure=failure)
    write(path, CELL, score(1.5))
    write(path, failed, score(float("inf")), score(float("-inf")))
    contents = read_journal(path)
    assert contents.records == (CELL, score(1.5), failed, score(float("inf")), score(float("-inf")))
    assert contents.damaged == ()
    assert b"Infinity" in path.read_bytes()
    assert b":Infinity" not in path.read_bytes()  # strict JSON


@given(st.floats(allow_nan=False))
def test_every_value_comes_back_exactly(value):
    record = score(value)
    assert ScoreRecord.model_validate_json(record.model_dump_json()).values["m"] == value


@settings(max_examples=200)
@given(cut=st.integers(0, 2000))
def test_a_torn_tail_costs_only_the_torn_record(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("torn") / "journal.jsonl"
    records = [score(float(number)) for number in range(5)]
    write(path, *records)
    data = path.read_bytes()
    path.write_bytes(data[: max(0, len(data) - cut)])
    whole = read_journal(path).records
    assert whole == tuple(records[: len(whole)])
    write(path, CELL)
    assert read_journal(path).records == (*whole, CELL)
    assert read_journal(path).damaged == ()


@settings(max_examples=100)
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_changed_byte_is_noticed(tmp_path_factory, place, byte):
    path = tmp_path_factory.mktemp("flip") / "journal.jsonl"
    records = [score(float(number), reason="x" * 40) for number in range(4)]
    write(path, *records)
    data = bytearray(path.read_bytes())
    header = data.index(b"\n") + 1
    position = header + place % (len(data) - header)
    changed = data[position] != byte
    data[position] = byte
    path.write_bytes(data)
    contents = read_journal(path)
    if changed:
        assert len(contents.records) < 4
        assert contents.damaged or contents.intact_bytes < len(data)
    assert all(record in records for record in contents.records)


def test_other_files_and_other_versions_are_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text("something else\n")
    with pytest.raises(StoreError, match="not a qbench journal"):
        read_journal(path)
    path.write_text('{"qbench-journal":99}\n')
    with pytest.raises(StoreError, match="format 99; this qbench reads formats 1 to 2"):
        read_journal(path)
    with pytest.raises(StoreError, match="can't read the run's journal"):
        read_journal(tmp_path / "none")


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    with JournalWriter(path) as journal:
        journal.append([CELL])
        before = path.read_bytes()
        real = os.write

        def full(file, data):
            if len(data) > 20:  # a part still fits
                return real(file, data[:20])
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        monkeypatch.setattr(
            "qbench.store.journal.os.write", lambda file, data: full(file, data) if len(data) > 300 else _raise()
        )
        with pytest.raises(
            StoreError, match=r"No space left on device.*make room and rerun the same command to resume"
        ):
            journal.append([score(1.0, reason="y" * 300)])
        monkeypatch.undo()
        assert path.read_bytes() == before
        journal.append([score(2.0)])
    assert read_journal(path).records == (CELL, score(2.0))


def _raise():
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_unwritable_place_is_named(tmp_path):
    with pytest.raises(StoreError, match="can't write the run's journal"):
        JournalWriter(tmp_path / "none" / "journal.jsonl")


@pytest.mark.parametrize("data", [b"no journal", b'{"qbench-journal":2}{"crc32":"', b'{"qbench-journal":2}\r{"crc32"'])
def test_a_file_without_lines_is_refused_and_left_as_it_is(tmp_path, data):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(data)
    for use in (read_journal, JournalWriter):
        with pytest.raises(StoreError, match="not a qbench journal"):
            use(path)
    assert path.read_bytes() == data


@pytest.mark.parametrize("cut", range(len(HEADER)))
def test_a_first_line_that_was_torn_is_written_again(tmp_path, cut):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(HEADER[:cut])
    assert read_journal(path).records == ()
    JournalWriter(path).close()
    assert path.read_bytes() == HEADER


def test_a_version_of_thousands_of_digits_is_refused(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"qbench-journal":%s}\n' % (b"9" * 5000))
    for use in (read_journal, JournalWriter):
        with pytest.raises(StoreError, match="not a qbench journal"):
            use(path)
