"""Who does what: each hand keeps to an image, and helps where no other is left or memory is short."""

from __future__ import annotations

import qbench
from qbench.execute import tasks
from qbench.execute.tasks import GATHERED, MOST_MEMORY, Gathered, Task, TaskList
from qbench.execute.work import CellStarted, ScoringStarted


def listed(groups, memory=1):
    listing = TaskList()
    for group in range(groups):
        listing.expect([task(group, index) for index in range(2)], memory)
    return listing


def task(group, index, stage=1):
    return Task((group, stage, index), lambda hand: [])


def taken(listing, hand):
    return listing.take(hand).place


def test_each_hand_keeps_to_an_image_of_its_own():
    listing = listed(3)
    assert [taken(listing, hand) for hand in (0, 1, 0, 1)] == [(0, 1, 0), (1, 1, 0), (0, 1, 1), (1, 1, 1)]


def test_later_tasks_of_an_image_come_first():
    listing = listed(1)
    first = listing.take(0)
    listing.done(first, [task(0, 0, stage=0)])
    assert taken(listing, 0) == (0, 0, 0)


def test_hands_help_where_no_image_is_left():
    listing = listed(1)
    assert [taken(listing, hand) for hand in (0, 1)] == [(0, 1, 0), (0, 1, 1)]
    assert listing.take(0) is None
    assert not listing.finished


def test_hands_help_rather_than_hold_more_images_than_there_is_memory_for():
    listing = listed(2, MOST_MEMORY)
    assert [taken(listing, hand) for hand in (0, 1)] == [(0, 1, 0), (0, 1, 1)]
    assert listing.take(1) is None  # it waits


def test_it_ends_when_all_is_done():
    listing = listed(1)
    given = [listing.take(0), listing.take(0)]
    listing.done(given[0], [])
    assert not listing.finished
    listing.done(given[1], [])
    assert listing.finished


def test_an_image_is_coded_and_scored_in_waves_where_its_reconstructions_are_large(suite, registry, monkeypatch):
    seen = []
    suite["codecs"] = {"shift": {"bits": [1, 2, 3, 4, 5]}}
    suite["metrics"] = ["bpp", "difference", "mean-shift"]
    options = {"registry": registry, "cache": False}
    with monkeypatch.context() as patched:
        patched.setattr(tasks, "WAVE_MEMORY", 0)
        waves = qbench.run(suite, output="waves", on_event=seen.append, **options)
    begun = [type(event) for event in seen if isinstance(event, CellStarted | ScoringStarted)]
    three = [CellStarted] * 2 + [ScoringStarted] * 3
    assert begun[:13] == [*three, *three, CellStarted, ScoringStarted, ScoringStarted][:13]
    whole = qbench.run(suite, output="whole", **options)
    assert waves.complete
    assert [row.entries for row in waves.rows] == [row.entries for row in whole.rows]
    assert waves.point_entries == whole.point_entries


def together(listing, group, done, images=GATHERED // 2):
    """Finish a group's first task, after which there is one that waits for others."""
    further = task(group, 0, stage=0)
    further.gathered = Gathered("look", images, group, lambda subjects, hand: done.append(subjects) or [])
    listing.done(listing.take(group), [further])


def test_tasks_that_gain_by_it_are_done_together_once_there_are_enough():
    listing, done = listed(4), []
    together(listing, 0, done)
    assert taken(listing, 0) == (0, 1, 1)  # what does not wait comes first
    together(listing, 1, done)
    both = listing.take(0)
    assert both.groups == (0, 1)
    listing.done(both, both.do(0))
    assert done == [[0, 1]]
    assert not listing.finished


def test_what_waits_is_done_where_nothing_else_is_left():
    listing, done = listed(1), []
    together(listing, 0, done)
    listing.done(listing.take(0), [])
    assert not listing.finished
    last = listing.take(0)
    listing.done(last, last.do(0))
    assert listing.finished
    assert listing.take(0) is None
