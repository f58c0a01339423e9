"""Where labels go."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from qbench.reporting.end_labels import RADIUS, EndedLine, place_labels

FRAME = (0.0, 0.0, 200.0, 150.0)
places = st.tuples(st.floats(10, 190), st.floats(10, 140))
curves = st.lists(places, min_size=1, max_size=6).map(sorted)


def line(points, width=40.0):
    return EndedLine("label", points, points, width, 9.0)


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(curves, st.floats(5, 80)), min_size=1, max_size=6))
def test_no_label_covers_a_point_or_another_or_leaves_the_frame(drawn):
    lines = [line(points, width) for points, width in drawn]
    found = place_labels(lines, FRAME)
    if found is None:
        return
    assert len(found) == len(lines)
    boxes = [place.box for place in found]
    for index, box in enumerate(boxes):
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] <= 200
        assert box[3] <= 150
        assert not any(overlap(box, other) for other in boxes[index + 1 :])
        for each in lines:
            for x, y in each.points:
                assert not overlap(box, (x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS))


def test_the_usual_place_is_right_of_the_end():
    (found,) = place_labels([line([(20, 20), (100, 75)])], FRAME)
    assert found.x > 100
    assert found.y == 75
    assert found.leader is None


def test_ends_at_one_place_are_moved_apart():
    ends = [(120.0, 75.0), (120.0, 76.0), (120.0, 77.0)]
    found = place_labels([line([(20.0, 20.0 + 30 * i), end]) for i, end in enumerate(ends)], FRAME)
    assert len({place.y for place in found}) == 3


def test_what_has_no_room_is_not_placed():
    assert place_labels([line([(20, 20), (100, 75)], width=300.0)], FRAME) is None


def test_a_label_that_is_far_has_a_leader():
    crowd = [line([(100.0 + 3 * i, 75.0 + 3 * j)], 30.0) for i in range(2) for j in range(3)]
    found = place_labels(crowd, FRAME)
    assert any(place.leader is not None for place in found)
    for place in found:
        if place.leader is not None:
            left, bottom, right, top = place.box
            assert left <= place.leader[0] <= right
            assert bottom <= place.leader[1] <= top
