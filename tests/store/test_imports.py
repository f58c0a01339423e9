"""Formats of strangers: what breaks in them names them."""

from __future__ import annotations

from pathlib import Path

import pytest
import toys

import qbench
from qbench.contracts.exchange import ExchangedCell, ExchangedResults, Format
from qbench.contracts.metric import Column, Direction
from qbench.errors import PluginError, QbenchError, StoreError
from qbench.registry.hookspecs import hookimpl
from qbench.store.imports import merged

COLUMN = Column("score", Direction.HIGHER)


def results(codec="a", image="i", size=(4, 4), column=COLUMN):
    return ExchangedResults(codec, {image: size}, [column], [ExchangedCell(image, codec, {}, {column.name: 1.0})])


class Odd(Format):
    name = "odd"
    summary = "does as it is told"

    def recognises(self, document):
        if document == "break while recognising":
            raise RuntimeError("a mistake in recognises")
        return True

    def read(self, document, name):
        if document == "break":
            raise RuntimeError("a mistake in read")
        return results()

    def write(self, run, folder):
        raise RuntimeError("a mistake in write")


class Plugin:
    @hookimpl
    def qbench_register_formats(self, register):
        register(Odd)


@pytest.fixture
def registry():
    made = toys.registry()
    made.register(Plugin(), toys.PluginInfo("odd", "test", "1"))
    return made


@pytest.mark.parametrize("document", ["break while recognising", "break"])
def test_a_format_that_breaks_is_named(registry, document):
    Path("file.json").write_text(f'"{document}"')
    with pytest.raises(PluginError, match=r"(?s)format odd, plugin odd \(test 1\): file\.json:.*a mistake in re"):
        qbench.import_results(["file.json"], "x", registry=registry)
    assert not Path("runs/x").exists()


def test_a_format_that_breaks_while_writing_is_named(registry):
    Path("file.json").write_text("{}")
    run = qbench.import_results(["file.json"], "x", registry=registry)
    assert run.rows[0].rate is None
    with pytest.raises(PluginError, match=r"(?s)format odd, plugin odd \(test 1\): out:.*a mistake in write"):
        qbench.export(run, "odd", "out", registry=registry)


def test_files_are_merged_or_contradict_each_other():
    both = merged([results("a"), results("b", image="j")])
    assert (list(both.images), [cell.codec for cell in both.cells]) == (["i", "j"], ["a", "b"])
    with pytest.raises(QbenchError, match="image i has"):
        merged([results("a"), results("b", size=(5, 5))])
    with pytest.raises(QbenchError, match="column score means something else"):
        merged([results("a"), results("b", column=Column("score", Direction.LOWER))])


def test_files_that_count_frames_differently_are_refused():
    def results(frames):
        cell = ExchangedCell("a", "webp", {}, {"bpp": 1.0}, 1000, None, None)
        column = Column("bpp", Direction.LOWER, 0.0)
        return ExchangedResults("r", {"a": (10, 10)}, [column], [cell], "", ["bpp"], [], frames)

    for pair in (({"a": 10}, {}), ({}, {"a": 10}), ({"a": 10}, {"a": 2})):
        with pytest.raises(StoreError, match=r"image a has \d+ frames in one file and \d+ in another"):
            merged([results(frames) for frames in pair])
    assert merged([results({"a": 10}), results({"a": 10})]).frames == {"a": 10}
