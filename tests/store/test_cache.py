from __future__ import annotations

import hashlib
import sqlite3

import pytest

from qbench.records import CellRecord, ScoreRecord, SessionRecord
from qbench.store.cache import Cache

BITS = b"\x00\xffbits"
CELL = CellRecord(
    key="k",
    image="i",
    point="p",
    outcome="coded",
    bitstream_size=len(BITS),
    bitstream_sha256=hashlib.sha256(BITS).hexdigest(),
    session="s",
    at="t",
)
SCORE = ScoreRecord(
    key="q", image="i", point="p", metric="m", outcome="scored", values={"m": float("inf")}, session="s", at="t"
)
SESSION = SessionRecord(id="s", at="t", provenance={"host": "here"})


def test_keeps_and_finds(tmp_path):
    cache = Cache(tmp_path)
    assert cache.cell("k") is None
    cache.put([(CELL, BITS)], [SCORE], [SESSION])
    cache.close()
    again = Cache(tmp_path)
    assert again.cell("k") == (CELL, BITS)
    assert again.score("q") == SCORE
    assert again.session("s") == SESSION
    assert again.score("k") is None
    assert again.size()[:2] == (1, 1)


def test_a_damaged_bitstream_is_not_served(tmp_path):
    cache = Cache(tmp_path)
    cache.put([(CELL, BITS)])
    with sqlite3.connect(cache.path) as connection:
        connection.execute("UPDATE cells SET bitstream = ?", (b"other",))
    assert cache.cell("k") is None


def test_records_of_another_version_are_not_served(tmp_path):
    cache = Cache(tmp_path)
    cache.put(scores=[SCORE])
    with sqlite3.connect(cache.path) as connection:
        connection.execute("UPDATE scores SET record = ?", ('{"kind": "score", "new": 1}',))
    assert cache.score("q") is None


def test_a_broken_cache_is_said_and_does_without(tmp_path):
    (tmp_path / Cache.FILE).write_bytes(b"this is no database, " * 100)
    cache = Cache(tmp_path)
    assert "can't be used" in cache.trouble
    cache.put([(CELL, BITS)], [SCORE])
    assert cache.cell("k") is None
    assert cache.score("q") is None
    assert cache.size() == (0, 0, 0)
    cache.close()


def test_a_place_that_can_not_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    assert "can't be used" in Cache(tmp_path / "file" / "cache").trouble


def test_two_processes_can_share_it(tmp_path):
    one, other = Cache(tmp_path), Cache(tmp_path)
    one.put([(CELL, BITS)])
    assert other.cell("k") == (CELL, BITS)
    other.put(scores=[SCORE])
    assert one.score("q") == SCORE


@pytest.mark.parametrize("keep", [0, 1000, 5000])
def test_a_damaged_cache_is_told_and_cleared(tmp_path, keep):
    cache = Cache(tmp_path)
    cache.put([(CELL, BITS)], [SCORE])
    cache.close()
    whole = cache.path.read_bytes()
    cache.path.write_bytes(whole[:keep] + b"\xff" * (len(whole) - keep))
    cache = Cache(tmp_path)
    assert cache.cell("k") is None
    assert cache.size() == (0, 0, 0)
    assert cache.trouble.endswith("; continuing without it. qbench cache clear removes it")
    cache.path.with_name(f"{cache.path.name}-journal").write_bytes(b"torn")
    assert Cache.clear(tmp_path) == cache.path
    assert not list(tmp_path.glob("cache*"))
    cache = Cache(tmp_path)
    cache.put([(CELL, BITS)])
    assert cache.cell("k") == (CELL, BITS)
    assert not cache.trouble
