"""How work is divided among workers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

import qbench
from qbench.cluster.dealing import Crew, Dealer
from qbench.execute.work import CellWork, ImageWork


@pytest.fixture
def plan(suite, installed):
    suite["codecs"] = {
        "shift": {"bits": [1, 2, 3, 4, 5, 6]},
        "there": {"codec": "on-device"},
    }
    suite["metrics"] = ["bpp", "looks-together"]
    return qbench.plan(suite, device="cpu")


def works(plan, images=None, metrics=("bpp", "looks-together")):
    chosen = plan.images if images is None else [replace(plan.images[0], name=f"i{n}") for n in range(images)]
    return [
        ImageWork(
            image, None, tuple(CellWork(point, f"{image.name} {point.id}", None, metrics) for point in plan.points)
        )
        for image in chosen
    ]


def cells(units):
    return Counter((part.image, cell.point) for unit in units for part in unit.parts for cell in part.cells)


@pytest.mark.parametrize("images", [1, 3, 40, 1000])
@pytest.mark.parametrize("slots", [1, 4, 16])
@pytest.mark.parametrize("crew", [(False, False), (True, False), (True, True)])
def test_every_cell_is_in_one_unit(plan, images, slots, crew):
    all_of_it = works(plan, images)
    units = Dealer(plan, Crew(slots, *crew), {}).units(all_of_it)
    assert set(cells(units).values()) == {1}
    assert len(cells(units)) == images * len(plan.points)
    assert len({unit.number for unit in units}) == len(units)
    assert len(units) >= min(slots, images * len(plan.points))
    assert max(len(unit.parts) for unit in units) <= 8


def test_of_few_images_operating_points_are_spread_and_those_of_one_codec_stay_together(plan):
    two = Dealer(plan, Crew(1), {}).units(works(plan, 2))
    assert {frozenset(cell.point.partition(":")[0] for cell in unit.parts[0].cells) for unit in two} == {
        frozenset({"shift"}),
        frozenset({"there"}),
    }
    spread = Dealer(plan, Crew(4), {}).units(works(plan, 1))
    assert len(spread) == len(plan.points)


def test_the_longest_are_first_by_what_is_known(plan):
    seconds = {"shift:bits=5": 9.0, "shift:bits=2": 3.0}
    units = Dealer(plan, Crew(4), seconds).units(works(plan, 1))
    assert [unit.parts[0].cells[0].point for unit in units][:2] == ["shift:bits=5", "shift:bits=2"]
    long = dict.fromkeys((point.id for point in plan.points), 40.0)
    assert {unit.cells for unit in Dealer(plan, Crew(1), long).units(works(plan, 50))} == {1, 2}


def test_what_needs_an_accelerator_is_given_to_who_has_one(plan):
    everywhere = Dealer(plan, Crew(2), {}).units(works(plan))
    assert not any(unit.accelerator for unit in everywhere)
    all_have_one = Dealer(plan, Crew(2, accelerators=True), {}).units(works(plan))
    assert all(unit.accelerator for unit in all_have_one)  # as a metric computes there
    some = Dealer(plan, Crew(2, accelerators=True, processors=True), {}).units(works(plan))
    for unit in some:
        assert unit.accelerator == all(cell.point == "there" for part in unit.parts for cell in part.cells)
        left = {name for part in unit.parts for cell in part.cells for name in cell.metrics}
        assert left == ({"bpp", "looks-together"} if unit.accelerator else {"bpp"})
        assert unit.later == (frozenset() if unit.accelerator else {"looks-together"})
