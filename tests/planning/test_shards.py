"""Parts of a plan."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from qbench.errors import QbenchError
from qbench.planning.shards import Shard


@given(some.integers(1, 12), some.integers(1, 9), some.integers(1, 20))
def test_every_cell_is_one_shards_and_they_are_of_about_the_same_size(images, points, count):
    plan = SimpleNamespace(images=range(images), points=range(points))
    shards = [Shard(number, count) for number in range(1, count + 1)]
    sizes = [0] * count
    for image in range(images):
        for point in range(points):
            (holder,) = [shard for shard in shards if shard.holds(plan, image, point)]
            sizes[holder.number - 1] += 1
    assert max(sizes) - min(sizes) <= (points if images >= count else 1)


def test_an_image_is_kept_whole_where_there_are_enough():
    plan = SimpleNamespace(images=range(4), points=range(5))
    shard = Shard.parse("2/3")
    assert {(image, shard.holds(plan, image, 0), shard.holds(plan, image, 4)) for image in range(4)} == {
        (0, False, False),
        (1, True, True),
        (2, False, False),
        (3, False, False),
    }
    assert str(shard) == "2/3"


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "-1/4", "1/0", "1/x", "1/2/3", "1/99999999", "٣/٤", " 1/2"])
def test_what_is_none_is_refused(text):
    with pytest.raises(QbenchError, match="accepted is NUMBER/COUNT"):
        Shard.parse(text)
