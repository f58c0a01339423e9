"""A run made by hand, with one of everything, so that what is shown of it can be compared to the letter."""

from __future__ import annotations

import pytest

from qbench.contracts.metric import Column, Direction
from qbench.planning.types import OperatingPoint, Plan, PlannedImage, PlannedMetric
from qbench.records import CallTiming, CellRecord, Failure, PlanRecord, ScoreRecord, SessionRecord, Timing
from qbench.results.run import Run
from qbench.results.state import RunState, score_key


def point(label, quality):
    identity = {"name": label, "version": 1, "libraries": {"lib": "1.0"}, "parameters": {"quality": quality}}
    swept = {"quality": quality}
    return OperatingPoint(f"{label}:quality={quality}", label, label, swept, swept, "p (q 1)", identity, "bin", "cpu")


def metric(name, direction, unit="", digits=2, scope="full-reference"):
    identity = {"name": name, "version": 1, "libraries": {}, "parameters": {}}
    return PlannedMetric(
        name, name, {}, "m (q 1)", identity, scope, (Column(name, direction, unit=unit, digits=digits),)
    )


@pytest.fixture
def hand_made(tmp_path):
    """Make a run: 2 images × 3 points × 2 metrics; a failed cell, a failed score, a not-applicable, one pending."""
    plan = Plan(
        "hand_made",
        "Made by hand.",
        "bundled",
        0,
        {"bitstreams": True, "reconstructions": True},
        {"repeats": 3, "budget": 0.5, "exclusive": False},
        (
            PlannedImage("cat & dog_1", "/a.png", "a", 10, 10),
            PlannedImage("<script>|x", "/b.png", "b", 20, 10, ("grey converted to RGB",)),
        ),
        (point("jpeg", 10), point("jpeg", 90), point("slow", 3)),
        (metric("psnr", Direction.HIGHER, "dB"), metric("bpp", Direction.LOWER, "bit/pixel", 3, "rate")),
        "text",
    )
    failure = Failure(
        plugin="codec slow, plugin p (q 1)", error="ValueError", message="too slow\nfor us", traceback="trace"
    )
    timing = Timing(
        encode=CallTiming(seconds=0.01, repeats=3, warmup=1),
        decode=CallTiming(seconds=0.002, repeats=3, warmup=1),
        threads=2,
        concurrent_load="exclusive",
    )
    records = [
        SessionRecord(id="s", at="t", provenance={}),
        PlanRecord(at="t", base="k", plan=plan.to_json()),
    ]
    cells = {}
    for image in plan.images:
        for each in plan.points:
            fields = {"key": "k", "image": image.name, "point": each.id, "session": "s", "at": "t"}
            if image is plan.images[0] and each.codec == "slow":
                cell = CellRecord(**fields, outcome="failed", failure=failure, reason=failure.message)
            elif each.codec == "slow":
                continue  # pending
            else:
                cell = CellRecord(
                    **fields,
                    outcome="coded",
                    bitstream_size=7,
                    bitstream_sha256="x",
                    reconstruction_sha256="y",
                    timing=timing,
                )
            cells[image.name, each.id] = cell
            records.append(cell)

    def score(image, at, index, value, **changes):
        planned = plan.metrics[index]
        cell = cells[image.name, at.id]
        fields = {
            "image": image.name,
            "point": at.id,
            "metric": planned.label,
            "session": "s",
            "at": "t",
            "outcome": "scored",
        }
        records.append(
            ScoreRecord(
                **{**fields, "key": score_key(plan, planned, image, cell), "values": {planned.metric: value}, **changes}
            )
        )

    one, other = plan.images
    low, high, _ = plan.points
    score(one, low, 0, 30.123)
    score(one, high, 0, float("inf"))
    score(one, low, 1, 0.5)
    score(one, high, 1, 2.25)
    score(other, low, 0, 28.0)
    score(other, high, 0, 0, outcome="not-applicable", values={}, reason="image too small")
    broken = Failure(plugin="metric bpp, plugin m (q 1)", error="OSError", message="no bits", traceback="trace")
    score(other, low, 1, 0, outcome="failed", values={}, reason="no bits", failure=broken)
    score(other, high, 1, 3.0)
    return Run(tmp_path / "hand-made-123456", RunState(tuple(records)))
