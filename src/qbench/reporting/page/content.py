"""What a report shows of a run, as plain values for JSON. Pure: no files, no images."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from qbench.contracts.metric import Direction, Explanation
from qbench.records import CellRecord, plain_number
from qbench.reporting.aggregate import GROUPINGS, fewer_images, group_rows, marked
from qbench.reporting.bd import bd_rates, unusable
from qbench.reporting.costs import point_timings, timing_notes
from qbench.reporting.curves import Curves, curve_metrics, curves, main_columns
from qbench.reporting.drawing import drawn_curve
from qbench.reporting.explanations import explanation_content
from qbench.reporting.notation import ABSENT, ARROWS, model_lines, written
from qbench.reporting.originals import originals
from qbench.reporting.savings_of_runs import usual_anchor
from qbench.results.comparability import column_owners
from qbench.results.run import Entry, Row, Run, Status

Explanations = dict[tuple[str, str], dict[str, Explanation]]
"""Image and operating point → metric's label → what is behind its scores."""


def run_content(run: Run, explanations: Explanations, usual: Collection[str] = ()) -> dict[str, Any]:
    """Return all that is shown of a run, its images excepted. Infinite numbers are text, as in the journal.

    Args:
        usual: names of codecs that are customarily compared with.
    """
    plan = run.plan
    found = {metric: curves(run, metric) for metric in curve_metrics(run)}
    timings = point_timings(run)
    anchors = {metric: _bd_rates(each) for metric, each in found.items() if len(each.by_codec) > 1}
    content = {
        "name": run.name,
        "key": plan.key(),
        "suite": plan.suite,
        "description": plan.description.strip(),
        "profile": plan.profile,
        "seed": plan.seed,
        "complete": run.complete,
        "kept": bool(plan.keep.get("reconstructions")),
        "originals": str(originals(run)),
        "remarks": list(run.remarks),
        "models": model_lines(run),
        "images": [
            {"name": image.name, "width": image.width, "height": image.height, "notes": list(image.notes)}
            for image in plan.images
        ],
        "points": [{"id": point.id, "codec": point.label} for point in plan.points],
        "columns": _columns(run),
        "absent": {status.value: mark for status, mark in ABSENT.items()},
        "groups": {by: _groups(run, by) for by in GROUPINGS},
        "fewer": {by: fewer_images(run, group_rows(run, by), by) for by in GROUPINGS},
        "rows": [_row(run, row, explanations.get((row.image, row.point), {})) for row in run.rows],
        "curves": {metric: _curves(each, run) for metric, each in found.items() if each.by_codec},
        "anchors": anchors,
        "anchor": usual_anchor([run], usual),
        "metric": next((name for name in main_columns(run) if _compared(anchors.get(name))), None),
        "timings": [asdict(timing) for timing in timings],
        "timing_notes": timing_notes(timings),
        "failures": [asdict(note) for note in run.failures],
        "sessions": [
            {"id": session.id, "at": session.at, "provenance": _plain(session.provenance)} for session in run.sessions
        ],
        "suite_text": plan.suite_text,
        "overrides": list(plan.overrides),
    }
    made: dict[str, Any] = _plain(content)
    return made


def _columns(run: Run) -> list[dict[str, Any]]:
    metrics = column_owners(run)
    return [
        {
            "id": name,
            "title": written(run, name),
            "metric": metrics[name].label if name in metrics else name,
            "higher": column.direction is Direction.HIGHER,
            "ranked": column.ranked,
            "arrow": ARROWS[column.direction],
            "unit": column.unit,
            "digits": column.digits,
            "per_point": name not in run.cell_columns,
        }
        for name, column in run.columns.items()
    ]


def _groups(run: Run, by: str) -> list[dict[str, Any]]:
    groups = group_rows(run, by)
    apart = {name: marked(groups, name, by) for name in run.columns}
    return [
        {
            "key": group.key,
            "cells": group.cells,
            "without": {str(status): count for status, count in group.without.items()},
            "means": [_plain(summary.mean) for summary in group.summaries.values()],
            "deviations": [_plain(summary.deviation) for summary in group.summaries.values()],
            "ranges": [
                None if summary.low is None else [_plain(summary.low), _plain(summary.high)]
                for summary in group.summaries.values()
            ],
            "fair": [group.key not in apart[name] for name in group.summaries],
        }
        for group in groups
    ]


def _row(run: Run, row: Row, explanations: dict[str, Explanation]) -> dict[str, Any]:
    entries = {**run.point_entries[row.point], **row.entries}
    content: dict[str, Any] = {
        "status": row.status.value,
        "values": [_plain(entries[name].value) for name in run.columns],
        "reasons": {
            index: _reason(entries[name])
            for index, name in enumerate(run.columns)
            if entries[name].status is not Status.OK
        },
    }
    if row.rate is not None:
        content["rate"] = row.rate
    if row.reason:
        content["reason"] = row.reason
    if row.cell is not None:
        content |= _cell(row.cell)
    if explanations:
        content["explanations"] = {label: explanation_content(each) for label, each in explanations.items()}
    return content


def _reason(entry: Entry) -> list[str]:
    return [entry.status.value, entry.reason]


def _cell(cell: CellRecord) -> dict[str, Any]:
    content: dict[str, Any] = {"bytes": cell.bitstream_size}
    if cell.found is not None:
        content["found"] = {
            "parameter": cell.found.parameter,
            "value": _plain(cell.found.value),
            "wanted": _plain(cell.found.wanted),
            "reached": _plain(cell.found.reached),
        }
    return content


def _curves(found: Curves, run: Run) -> dict[str, Any]:
    places = {point.id: index for index, point in enumerate(run.plan.points)}
    return {
        "images": len(found.images),
        "left_out": list(found.left_out),
        "by_codec": {
            codec: [[_plain(point.rate), _plain(point.value), places[point.point]] for point in points]
            for codec, points in found.by_codec.items()
        },
        "lines": {
            codec: [_plain(pair) for pair in zip(*drawn_curve(points, 40), strict=True)]
            for codec, points in found.by_codec.items()
        },
        "absent": list(found.absent),
    }


def _bd_rates(found: Curves) -> dict[str, Any]:
    """Return BD-rates against every codec that can be the anchor."""
    able = [codec for codec, points in found.by_codec.items() if not unusable(points, found.sign)]
    tables = {anchor: [_plain(asdict(rate)) for rate in bd_rates(found, anchor)] for anchor in able}
    reasons = [f"{codec}: {unusable(points, found.sign)}" for codec, points in found.by_codec.items()]
    return {"reason": "" if able else "; ".join(reasons), "tables": tables}


def _compared(anchors: Mapping[str, Any] | None) -> bool:
    """Say whether there is any BD-rate."""
    rates = [rate for table in (anchors or {}).get("tables", {}).values() for rate in table]
    return any(rate["percent"] is not None for rate in rates)


def _plain(value: Any) -> Any:
    """Return a value as strict JSON can hold it; provenance may hold anything that a plugin put into it."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return plain_number(value)
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)
