from __future__ import annotations

import io
from dataclasses import replace

import pytest
from golden import check_golden
from rich.console import Console

import qbench
from qbench.errors import QbenchError
from qbench.records import CodingCost
from qbench.reporting.costs import complexity_sheet, timings_sheet
from qbench.reporting.story import Look, print_run
from qbench.reporting.tables import sheet_table


def shown(width, show):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    show(console)
    text = "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"
    assert all(len(line) <= width for line in text.splitlines())
    return text


@pytest.mark.parametrize("width", [100, 52])
def test_looks_as_it_did(hand_made, width):
    check_golden(
        f"table-{width}",
        shown(width, lambda console: print_run(console, hand_made)).replace(str(hand_made.path), "RUN"),
    )


def test_timings_look_as_they_did(hand_made):
    check_golden(
        "timings", shown(100, lambda console: console.print(sheet_table(timings_sheet(hand_made), console.width)))
    )


def test_a_narrow_terminal_loses_no_column(hand_made):
    text = shown(52, lambda console: print_run(console, hand_made))
    for word in ("psnr", "bpp", "failed", "n/a", "30.12", "2.250"):
        assert word in text


def test_names_are_shown_as_they_are_not_as_markup(hand_made):
    text = shown(100, lambda console: print_run(console, hand_made))
    assert "<script>|x" in text
    assert "cat & dog_1" in text


def test_complexity_is_per_pixel_over_all_images_and_memory_of_the_largest(hand_made):
    assert complexity_sheet(hand_made).lines == []
    for row, macs in zip((hand_made.rows[0], hand_made.rows[3]), (50_000, 250_000), strict=True):
        cost = CodingCost(parameters=4_700_000, encode_macs=macs, decode_memory=macs * 100)
        hand_made.rows[hand_made.rows.index(row)] = replace(row, cell=row.cell.model_copy(update={"complexity": cost}))
    text = shown(100, lambda console: console.print(sheet_table(complexity_sheet(hand_made), 100)))
    (line,) = (line for line in text.splitlines() if "jpeg" in line)
    assert line.split() == ["jpeg:quality=10", "4.70", "1.0", "–", "–", "25.00"]  # 300 kMAC, 300 pixels; 25 MB


def test_means_fit_the_terminal_and_the_rate_stands_first(run):
    for width in (40, 60, 80, 120):
        text = shown(width, lambda console: print_run(console, run))
        assert max(len(line) for line in text.splitlines()) <= width
        means = text[text.index("Means by operating point") :].splitlines()
        assert means[2].split()[0] == "bpp" or means[3].split()[0] == "bpp"
        assert "shift:bits=1" in text  # whole
    chosen = shown(80, lambda console: print_run(console, run, Look(columns=("psnr",))))
    assert "further columns: difference" in " ".join(chosen.split())
    wide = shown(80, lambda console: print_run(console, run, Look(wide=True)))
    assert "Mean ± standard deviation by operating point" in wide
    with pytest.raises(QbenchError, match="no column `psn`; did you mean `psnr`"):
        shown(80, lambda console: print_run(console, run, Look(columns=("psn",))))


def test_many_cells_are_listed_for_who_asks(run, monkeypatch):
    monkeypatch.setattr("qbench.reporting.story.MOST_CELLS", 3)
    assert f"9 cells: qbench show {run.path} --cells lists them" in " ".join(
        shown(200, lambda console: print_run(console, run)).split()
    )
    assert "Cells" in shown(100, lambda console: print_run(console, run, Look(cells=True)))


@pytest.fixture
def run(suite, registry):
    return qbench.run(suite, output="run", registry=registry, cache=False)
