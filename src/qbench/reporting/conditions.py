"""What must not be between two runs, for a guard: ``bd-rate(ssim) > 1%``, ``cjxl: psnr < -0.05``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from qbench.errors import QbenchError, did_you_mean, shown
from qbench.records import plain_number
from qbench.reporting.comparison import TIMES, Comparison, Difference
from qbench.reporting.curves import curve_metrics
from qbench.results.run import Run

BD_RATE = "bd-rate"
EXAMPLES = "`bd-rate > 1%`, `cjxl: bd-rate(ssim) > 1%`, `psnr < -0.05`, `bpp > 2%`, `encode-time > 10%`"
_FORM = re.compile(
    r"\s*(?:(\S.*?)\s*:\s+)?([\w.+-]+?)\s*(?:\(\s*([\w.+-]+)\s*\))?\s*(>=|<=|>|<)\s*"
    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(%?)\s*"
)


@dataclass(frozen=True)
class Condition:
    """What must not be.

    Attributes:
        text: as it was given.
        codec: label of the only codec that is meant; empty for all.
        what: ``bd-rate``, or a column or time, of which the change from the first run to the second is meant.
        metric: of a BD-rate; the first run's first where none is named.
        relative: whether the number is in percent of the first run's value.
    """

    text: str
    codec: str
    what: str
    metric: str
    sign: str
    number: float
    relative: bool


@dataclass(frozen=True)
class Judgement:
    """What became of a condition.

    Attributes:
        violations: what violates it, in words.
        unjudged: what can't be judged by it, in words.
        notes: what one must know of the numbers that it was judged by.
    """

    condition: Condition
    violations: tuple[str, ...]
    unjudged: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def failed(self, *, allow_missing: bool) -> bool:
        """Whether the guard fails; what can't be judged counts unless that is allowed."""
        return bool(self.violations or (self.unjudged and not allow_missing))


def parse_condition(text: str, first: Run, second: Run) -> Condition:
    """Read a condition on two runs.

    Raises:
        QbenchError: not of the form, or of a codec that neither run has, or a column that the first lacks.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise QbenchError(f"`{text}` is not a valid condition; accepted: {EXAMPLES}")
    codec, what, metric, sign, number, percent = form.groups()
    codecs = list(dict.fromkeys(point.label for run in (first, second) for point in run.plan.points))
    known = [BD_RATE, *TIMES, *first.columns]
    for kind, name, accepted in (("codec", codec, codecs), ("column", what, known)):
        if name is not None and name not in accepted:
            near = did_you_mean(name, accepted)
            raise QbenchError(f"`{text}`: no {kind} `{name}`{near} (accepted: {', '.join(accepted)})")
    if metric is not None and what != BD_RATE:
        raise QbenchError(f"`{text}`: only bd-rate is of a metric; accepted: {EXAMPLES}")
    if what == BD_RATE:
        metrics = curve_metrics(first)
        metric = metric or next(iter(metrics), "")
        if metric not in metrics:
            raise QbenchError(
                f"`{text}`: no curve of `{metric}`{did_you_mean(metric, metrics)} (accepted: {', '.join(metrics)})"
            )
    return Condition(text, codec or "", what, metric or "", sign, float(number), bool(percent) and what != BD_RATE)


def judge(condition: Condition, comparison: Comparison) -> Judgement:
    """Say what of a comparison violates a condition, and what can't be judged."""
    violations: list[str] = []
    unjudged = [
        _lacking(each.point, each.images, each.name, each.reason)
        for each in (comparison.times_unjudged if condition.what in TIMES else comparison.unjudged)
        if condition.codec in ("", each.codec or condition.codec)
        and (condition.what in ("", each.name) or not each.name or condition.what == BD_RATE)
        and (condition.what != BD_RATE or not each.name or each.name == condition.metric)
    ]
    if condition.what in TIMES:  # points and images that are gone have no times, either
        unjudged += [f"times under other conditions ({each})" for each in comparison.unlike]
        unjudged += [
            _lacking(each.point, each.images, "", each.reason)
            for each in comparison.unjudged
            if not each.name and condition.codec in ("", each.codec or condition.codec)
        ]
    if condition.what == BD_RATE:
        rates = [
            (metric, rate)
            for metric, rate in comparison.rates
            if condition.codec in ("", rate.codec) and metric == condition.metric
        ]
        notes = [f"{rate.codec} ({metric}): {rate.note}" for metric, rate in rates if rate.note]
        for metric, rate in rates:
            if rate.lacking:
                names = ", ".join(rate.lacking)
                unjudged.append(f"{rate.codec}: {metric} of image {names} is not finite at every point in both runs")
            if rate.percent is None and rate.too_few and not condition.codec:
                continue  # it has no curve in any run: whoever means it names it
            if rate.percent is None:
                unjudged.append(f"{rate.codec}: no BD-rate ({metric}): {rate.reason}")
            elif _holds(condition, rate.percent):
                violations.append(f"{rate.codec}: BD-rate ({metric}) {rate.percent:+.2f} %")
        if not any(not rate.too_few for _, rate in rates):
            unjudged.append(f"no codec has a curve of {condition.metric} in both runs")
        return Judgement(condition, tuple(violations), tuple(dict.fromkeys(unjudged)), tuple(notes))
    source = comparison.times if condition.what in TIMES else comparison.differences
    found = [each for each in source if each.name == condition.what and condition.codec in ("", each.codec)]
    unit = " %" if condition.relative else ""
    for each in found:
        value = _value(condition, each)
        if _holds(condition, value):
            images = f" ({', '.join(each.worsened)})" if each.worsened else ""
            violations.append(f"{each.point}: {each.name} {value:+.4g}{unit}{images}")
    if not found and not unjudged and condition.codec not in ("", *comparison.codecs):
        unjudged.append(f"no operating point of {condition.codec} is in both runs")
    return Judgement(condition, tuple(violations), tuple(dict.fromkeys(unjudged)))


def _lacking(point: str, images: Sequence[str], name: str, reason: str) -> str:
    which = "" if not images else "all images" if tuple(images) == ("all images",) else f"image {', '.join(images)}"
    where = ", ".join(text for text in (point, which, name) if text)
    return f"{where}: {reason}"


def _value(condition: Condition, each: Difference) -> float:
    relative = condition.relative and math.isfinite(each.change) and math.isfinite(each.first)
    if relative and not each.first:  # of nothing, anything is infinitely more
        return math.copysign(math.inf, each.change) if each.change else 0.0
    return 100 * each.change / abs(each.first) if relative else each.change


def _holds(condition: Condition, value: float) -> bool:
    return {
        ">": value > condition.number,
        ">=": value >= condition.number,
        "<": value < condition.number,
        "<=": value <= condition.number,
    }[condition.sign]


# -- for other programs ---------------------------------------------------------------------------------------------


def comparison_json(comparison: Comparison, judgements: Sequence[Judgement], *, allow_missing: bool) -> str:
    """Return a comparison and its guard's judgements as JSON."""

    def difference(each: Difference) -> dict[str, object]:
        return {
            "point": each.point,
            "codec": each.codec,
            "column": each.name,
            "images": each.images,
            "first": plain_number(each.first),
            "second": plain_number(each.second),
            "change": plain_number(each.change),
            "interval": None if each.low is None or each.high is None else [each.low, each.high],
            "certain": each.certain,
            "worse": each.worse > 0,
            "worsened": list(each.worsened),
            "improved": list(each.improved),
        }

    content = {
        "points": list(comparison.points),
        "images": list(comparison.images),
        "new_points": list(comparison.new_points),
        "new_images": list(comparison.new_images),
        "changed": list(comparison.changed),
        "times_unlike": list(comparison.unlike),
        "bd_rates": [
            {
                "codec": rate.codec,
                "metric": metric,
                "percent": rate.percent,
                "interval": None if rate.low is None else [rate.low, rate.high],
                "images": rate.images,
                "overlap": rate.overlap,
                "by_method": dict(rate.by_method),
                "reason": rate.reason,
                "note": rate.note,
                "lacking": list(rate.lacking),
            }
            for metric, rate in comparison.rates
        ],
        "differences": [difference(each) for each in comparison.differences],
        "times": [difference(each) for each in comparison.times],
        "unjudged": [
            {"point": each.point, "column": each.name, "images": list(each.images), "reason": each.reason}
            for each in comparison.unjudged
        ],
        "conditions": [
            {
                "condition": each.condition.text,
                "failed": each.failed(allow_missing=allow_missing),
                "violations": list(each.violations),
                "unjudged": list(each.unjudged),
                "notes": list(each.notes),
            }
            for each in judgements
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def judgements_junit(comparison: Comparison, judgements: Sequence[Judgement], *, allow_missing: bool) -> str:
    """Return judgements as JUnit's XML, a test case for each condition, as CI systems show it.

    What changed between the runs under the same name stands in the output of the whole.
    """
    failed = sum(each.failed(allow_missing=allow_missing) for each in judgements)
    suite = ElementTree.Element("testsuite", name="qbench compare", tests=str(len(judgements)), failures=str(failed))
    for each in judgements:
        case = ElementTree.SubElement(suite, "testcase", classname="qbench", name=shown(each.condition.text))
        lines = [*each.violations, *(f"can't be judged: {reason}" for reason in each.unjudged)]
        text = "\n".join(map(shown, lines))  # XML can't hold control characters
        if each.failed(allow_missing=allow_missing):
            ElementTree.SubElement(case, "failure", message=text.splitlines()[0]).text = text
            lines = []
        if lines or each.notes:
            ElementTree.SubElement(case, "system-out").text = "\n".join(map(shown, (*lines, *each.notes)))
    if comparison.changed:
        changed = "\n".join(f"changed: {shown(line)}" for line in comparison.changed)
        ElementTree.SubElement(suite, "system-out").text = changed
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"
