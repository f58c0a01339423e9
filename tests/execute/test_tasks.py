"""Who does what: each hand keeps to an image, and helps where no other is left or memory is short."""

from __future__ import annotations

from qbench.execute.tasks import MOST_MEMORY, Task, TaskList


def listed(groups, memory=1):
    tasks = TaskList()
    for group in range(groups):
        tasks.expect([task(group, index) for index in range(2)], memory)
    return tasks


def task(group, index, stage=1):
    return Task((group, stage, index), lambda hand: [])


def taken(tasks, hand):
    return tasks.take(hand).place


def test_each_hand_keeps_to_an_image_of_its_own():
    tasks = listed(3)
    assert [taken(tasks, hand) for hand in (0, 1, 0, 1)] == [(0, 1, 0), (1, 1, 0), (0, 1, 1), (1, 1, 1)]


def test_later_tasks_of_an_image_come_first():
    tasks = listed(1)
    first = tasks.take(0)
    tasks.done(first, [task(0, 0, stage=0)])
    assert taken(tasks, 0) == (0, 0, 0)


def test_hands_help_where_no_image_is_left():
    tasks = listed(1)
    assert [taken(tasks, hand) for hand in (0, 1)] == [(0, 1, 0), (0, 1, 1)]
    assert not tasks.waiting
    assert tasks.at_work


def test_hands_help_rather_than_hold_more_images_than_there_is_memory_for():
    tasks = listed(2, MOST_MEMORY)
    assert [taken(tasks, hand) for hand in (0, 1)] == [(0, 1, 0), (0, 1, 1)]
    assert taken(tasks, 1) == (1, 1, 0)  # nothing is left to help with: better than to wait


def test_it_ends_when_all_is_done():
    tasks = listed(1)
    given = [tasks.take(0), tasks.take(0)]
    tasks.done(given[0], [])
    assert tasks.at_work
    tasks.done(given[1], [])
    assert not tasks.at_work
    assert not tasks.waiting
