from __future__ import annotations

import io

import pytest
from golden import check_golden
from rich.console import Console

from qbench.reporting.tables import print_run, timings_table


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
    check_golden("timings", shown(100, lambda console: console.print(timings_table(hand_made, console.width))))


def test_a_narrow_terminal_loses_no_column(hand_made):
    text = shown(52, lambda console: print_run(console, hand_made))
    for word in ("psnr", "bpp", "failed", "n/a", "30.12", "2.250"):
        assert word in text


def test_names_are_shown_as_they_are_not_as_markup(hand_made):
    text = shown(100, lambda console: print_run(console, hand_made))
    assert "<script>|x" in text
    assert "cat & dog_1" in text
