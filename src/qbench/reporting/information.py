"""Who made a run of what, where and when."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from rich.console import Console
from rich.text import Text

from qbench.errors import shown
from qbench.reporting.costs import point_timings, timing_notes
from qbench.results.run import Run, Status

MOST = 12
OF_SESSIONS = (
    "qbench",
    "python",
    "system",
    "processor",
    "cores",
    "device_name",
    "jobs",
    "commits",
    "plugins",
    "libraries",
    "user_environment",
)
PLACE = re.compile(r"(?<![\w.{}])~?(?:/[^\s/'\":;,{}]+)+/?")
"""A path in a text."""


def information(run: Run, *, anonymous: bool = False) -> dict[str, Any]:
    """Return what is known of how a run was made, as plain values for JSON.

    Args:
        anonymous: leave out names of hosts, folders and users, for a double-blind review.
    """
    plan, timings = run.plan, point_timings(run)
    found: dict[str, Any] = {
        "run": run.name,
        "folder": str(run.path.absolute()),
        "suite": plan.suite,
        "description": plan.description.strip(),
        "plan": plan.key(),
        "profile": plan.profile,
        "seed": plan.seed,
        "overrides": list(plan.overrides),
        "images": [
            {"name": i.name, "size": f"{i.width}×{i.height}", "sha256": i.sha256, "from": i.location}
            for i in plan.images
        ],
        "codecs": [_participant(point.id, point.codec, point) for point in plan.points],
        "metrics": [_participant(metric.label, metric.metric, metric) for metric in plan.metrics],
        "plugin_files": list(plan.plugins),
        "sessions": [_session(session.at, session.provenance, anonymous=anonymous) for session in run.sessions],
        "timing": {
            **plan.timing,
            "conditions": sorted({load for timing in timings for load in timing.concurrent_load}),
            "notes": timing_notes(timings),
        },
        "complete": run.complete,
        "failures": len(run.failures),
        "missing": _missing(run),
    }
    return _without_places(found) if anonymous else found


def _without_places(value: Any) -> Any:
    """Return a value with file names in place of paths, however deep they are in it."""
    if isinstance(value, Mapping):
        return {name: _without_places(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_places(each) for each in value]
    return PLACE.sub(lambda found: PurePath(found[0]).name, value) if isinstance(value, str) else value


def _participant(label: str, name: str, planned: Any) -> dict[str, Any]:
    identity = planned.identity
    return {
        "label": label,
        "name": name,
        "plugin": planned.plugin,
        "version": identity.get("version"),
        "settings": dict(planned.parameters),
        "libraries": dict(identity.get("libraries", {})),
        "weights": {
            name: {"sha256": digest, "is": planned.models.get(name, "")}
            for name, digest in identity.get("weights", {}).items()
        },
        "code": dict(identity.get("code", {})),
    }


def _session(at: str, provenance: Mapping[str, Any], *, anonymous: bool) -> dict[str, Any]:
    kept = {name: provenance[name] for name in OF_SESSIONS if provenance.get(name) not in (None, "", {}, [])}
    command = [str(word) for word in provenance.get("command", [])]
    if command and not anonymous:
        kept["command"] = " ".join([PurePath(command[0]).name, *command[1:]])
    if not anonymous and provenance.get("host"):
        kept["host"] = provenance["host"]
    if anonymous and "system" in kept:
        kept["system"] = str(kept["system"]).partition("-")[0]
    return {"at": at, **kept}


def _missing(run: Run) -> list[str]:
    """Say what is not there: cells, scores, originals that can't be told."""
    pending = [row for row in run.rows if row.status is Status.PENDING]
    told = [f"{len(pending)} of {len(run.rows)} cells are not coded yet"] if pending else []
    for name in run.columns:
        entries = [row.entries[name] for row in run.rows if name in row.entries]
        count = sum(entry.status is Status.PENDING for entry in entries) - len(pending)
        if count > 0:
            told.append(f"{count} scores of {name} are missing")
    if not run.plan.keep.get("bitstreams", True):
        told.append("bitstreams were not kept: qbench verify has nothing to decode")
    if not run.plan.keep.get("reconstructions", True):
        told.append("reconstructions were not kept: the report shows no pictures")
    return told


def print_information(console: Console, found: Mapping[str, Any]) -> None:
    """Show it, a block for each kind of thing."""

    def heading(text: str) -> None:
        console.print(Text(f"\n{text}", "bold"))

    def line(name: str, value: object) -> None:
        if value not in ("", None, [], {}):
            console.print(Text(f"  {name}: {shown(str(value))}"))

    console.print(Text(shown(str(found["run"])), "bold"))
    for name in ("folder", "suite", "description", "plan", "profile", "seed"):
        line(name, found[name])
    line("overrides", ", ".join(found["overrides"]))
    heading(f"{len(found['images'])} images")
    for image in _some(found["images"]):
        line(image["name"], f"{image['size']}, {image['from']}, sha256 {image['sha256'][:16]}")
    _more(console, found["images"])
    heading(f"{len(found['codecs'])} operating points")
    for each in _by_label(found["codecs"]):
        line(each["label"], _told(each))
    heading(f"{len(found['metrics'])} metrics")
    for each in found["metrics"]:
        line(each["label"], _told(each))
    line("plugin files", ", ".join(found["plugin_files"]))
    for session in found["sessions"]:
        heading(f"measured from {session['at']}")
        for name, value in session.items():
            if name != "at":
                line(name.replace("_", " "), _listed(value))
    heading("times")
    for name, value in found["timing"].items():
        line(name, _listed(value))
    heading("state")
    line("complete", "yes" if found["complete"] else "no")
    line("failures", found["failures"] or "none")
    for each in found["missing"]:
        console.print(Text(f"  {each}", "yellow"))


def _by_label(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return an entry for each codec's label, with all values of the settings that its points differ in."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for point in points:
        groups.setdefault(str(point["label"]).partition(":")[0], []).append(point)
    found = []
    for label, group in groups.items():
        settings = {
            name: ", ".join(dict.fromkeys(str(point["settings"].get(name)) for point in group))
            for name in group[0]["settings"]
        }
        found.append({**group[0], "label": label, "settings": settings})
    return found


def _some(listed: Sequence[Any]) -> Sequence[Any]:
    return listed[:MOST]


def _more(console: Console, listed: Sequence[Any]) -> None:
    if len(listed) > MOST:
        console.print(Text(f"  and {len(listed) - MOST} more; -f json has all", "dim"))


def _told(each: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in each["settings"].items())
    parts = [f"{each['name']} ({settings})" if settings else each["name"], f"plugin {each['plugin']}"]
    parts += [f"{name} {version}" for name, version in each["libraries"].items()]
    parts += [f"weights {name} {weights['sha256'][:16]}" for name, weights in each["weights"].items()]
    parts += [f"code {name} {str(digest)[:16]}" for name, digest in each["code"].items()]
    return "; ".join(parts)


def _listed(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)
