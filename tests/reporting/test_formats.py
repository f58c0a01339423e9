from __future__ import annotations

import csv
import io
import json
import math

import pyarrow.parquet
import pytest
from golden import check_golden

from qbench.errors import QbenchError
from qbench.reporting.formats import View, csv_text, write_parquet, write_text


@pytest.mark.parametrize("form", ["markdown", "latex", "html", "csv", "json"])
@pytest.mark.parametrize("by", [None, "codec"], ids=["cells", "by-codec"])
def test_looks_as_it_did(hand_made, form, by):
    check_golden(f"{form}-{by or 'cells'}", write_text(hand_made, form, View(by)))


def test_json_is_strict(hand_made):
    def refuse(value):
        raise AssertionError(value)

    data = json.loads(write_text(hand_made, "json", View()), parse_constant=refuse)
    assert data["rows"][1]["psnr"] == "Infinity"
    assert data["columns"]["bpp"]["direction"] == "lower"


def test_csv_gives_the_values_exactly(hand_made):
    rows = list(csv.DictReader(io.StringIO(write_text(hand_made, "csv", View()))))
    assert [row["psnr"] for row in rows] == ["30.123", "inf", "", "28.0", "", ""]
    assert rows[4]["psnr.status"] == "not-applicable"
    assert rows[2]["psnr.reason"] == "the cell is failed: too slow\nfor us"


def test_sorting_is_best_first_in_each_columns_direction(hand_made):
    def order(column):
        rows = csv.DictReader(io.StringIO(write_text(hand_made, "csv", View(None, column))))
        return [row[column] for row in rows]

    assert order("psnr") == ["inf", "30.123", "28.0", "", "", ""]
    assert order("bpp") == ["0.5", "2.25", "3.0", "", "", ""]


def test_parquet_reads_back(hand_made, tmp_path):
    write_parquet(hand_made, tmp_path / "a.parquet", View())
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(table) == 6
    assert table[1]["psnr"] == math.inf
    assert table[2]["psnr"] is None
    assert table[0]["parameter.quality"] == 10


def test_a_wrong_column_or_grouping_is_refused_with_the_nearest(hand_made):
    with pytest.raises(QbenchError, match=r"no column `pnsr` in this run; did you mean `psnr`\?"):
        write_text(hand_made, "csv", View(None, "pnsr"))
    with pytest.raises(
        QbenchError, match=r"can't group by `codecs`; did you mean `codec`\?; accepted: point, codec, image"
    ):
        write_text(hand_made, "csv", View("codecs"))


def test_parquet_without_pyarrow_names_the_extra(hand_made, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(QbenchError, match=r"pip install 'qbench\[parquet\]'"):
        write_parquet(hand_made, tmp_path / "a.parquet", View())


def test_a_spreadsheet_computes_nothing():
    records = [{"=cmd|' /C calc'!A0": "=1+1", "at": "@x", "number": -0.5, "text": "a=b", "tab": "\t=1"}]
    rows = list(csv.reader(io.StringIO(csv_text(records))))
    assert rows == [
        ["'=cmd|' /C calc'!A0", "at", "number", "text", "tab"],
        ["'=1+1", "'@x", "-0.5", "a=b", "'\t=1"],
    ]


def test_no_name_ends_a_comment_of_latex(hand_made):
    hand_made.path = hand_made.path.with_name("x\\n\\r\u2028\\\\input{secret}".encode().decode("unicode_escape"))
    first = write_text(hand_made, "latex", View()).split("\n")[0]
    assert first.startswith("% x")
    assert "secret" in first
