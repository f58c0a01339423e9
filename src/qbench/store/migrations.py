"""Records of older versions of the run folder's format, as records of the present one.

A field that is added with a default needs no new version: older records take the default, and older programs ignore it.
Whatever else changes is a new version: raise :data:`FORMAT_VERSION`, add a step here, describe it in
docs/run-folder.md, and keep a run folder of the version before among the tests' data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FORMAT_VERSION = 2

Plain = dict[str, Any]


def migrated(record: Plain, version: int) -> Plain:
    """Return a record of an older version, as plain values, in the present form."""
    for step in range(version, FORMAT_VERSION):
        record = STEPS[step](record)
    return record


def _from_1(record: Plain) -> Plain:
    """Version 2: times of encoding and decoding each with their own conditions, names of a target's fields."""
    kind = record["kind"]
    if kind == "cell" and record.get("timing"):
        timing = record["timing"]
        call = {"repeats": timing["repeats"], "warmup": timing["warmup"]}
        record["timing"] = {
            "encode": {"seconds": timing["encode"], **call, "batch": timing.get("batch", 1)},
            "decode": {"seconds": timing["decode"], **call},
            "threads": timing["threads"],
            "concurrent_load": timing["beside"],
        }
    if kind == "plan":
        for point in record["plan"]["points"]:
            if point.get("target"):
                target = point["target"]
                target["increasing"], target["integer"] = target.pop("rising"), target.pop("whole")
    return record


STEPS: dict[int, Callable[[Plain], Plain]] = {1: _from_1}
"""Version → what makes a record of the next version of one of it."""
