"""Distribution metrics: features image by image, finished once an operating point."""

from __future__ import annotations

import math

import numpy as np
import pytest

import qbench
from qbench.execute.work import Recorded, Stop
from qbench.images.reading import read_image
from qbench.registry.registry import default_registry
from qbench.reporting.aggregate import group_rows
from qbench.reporting.formats import View, write_text
from qbench.results.run import Status


def run(suite, registry, **options):
    return qbench.run(suite, registry=registry, **{"output": "run", "cache": False, **options})


@pytest.fixture
def distribution(suite, tmp_path):
    """The small suite with a distribution metric that logs what it computes."""
    suite["metrics"] = ["psnr", {"mean-shift": {"log": str(tmp_path / "log")}}]
    return suite, tmp_path / "log"


def lines(path):
    return path.read_text().splitlines()


def shifts(run):
    return {point: entries["mean-shift"].value for point, entries in run.point_entries.items()}


def test_values_are_those_of_all_images_together(distribution, registry, photos):
    suite, log = distribution
    done = run(suite, registry)
    assert done.complete
    originals = [read_image(path).pixels for path in sorted(photos.iterdir())]
    for point in done.plan.points:
        bits = point.parameters["bits"]
        samples = [pixels.reshape(-1, 3)[::7].astype(float) for pixels in originals]
        coded = [(pixels >> bits << bits).reshape(-1, 3)[::7].astype(float) for pixels in originals]
        expected = np.linalg.norm(np.concatenate(samples).mean(0) - np.concatenate(coded).mean(0))
        assert shifts(done)[point.id] == pytest.approx(expected, abs=1e-3)
        assert done.point_entries[point.id]["mean-shift.samples"].value == sum(map(len, samples))
    # Each original once, each reconstruction once, each operating point finished once.
    assert lines(log).count("image") == 3 + 9
    assert lines(log).count("finish") == 3


def test_features_go_when_they_are_finished_unless_kept(distribution, registry):
    suite, log = distribution
    done = run(suite, registry)
    assert not (done.path / "features").exists()
    run(suite, registry)  # nothing to do
    assert len(lines(log)) == 15
    suite["keep"] = {"features": True}
    kept = run(suite, registry, output="kept")
    assert len(list((kept.path / "features").rglob("*.npy"))) == 12


def test_an_interrupted_run_computes_no_features_twice(distribution, registry):
    suite, log = distribution
    stop = Stop()
    featured = []

    def on_event(event):
        if isinstance(event, Recorded) and getattr(event.records[0], "metric", "") == "mean-shift":
            featured.append(event)
            if len(featured) == 1:
                stop.set()

    part = run(suite, registry, stop=stop, on_event=on_event)
    assert not part.complete
    assert {entry.status for entries in part.point_entries.values() for entry in entries.values()} == {Status.PENDING}
    done = run(suite, registry)
    assert done.complete
    assert lines(log).count("image") == 12
    assert shifts(done) == shifts(run(suite, registry, output="whole"))


def test_features_that_went_missing_are_computed_again(distribution, registry):
    suite, _ = distribution
    stop = Stop()
    run(suite, registry, stop=stop, on_event=lambda event: stop.set() if _is_feature(event) else None)
    for path in (qbench.load_run("run").path / "features").rglob("*.npy"):
        path.unlink()
    assert run(suite, registry).complete


def _is_feature(event):
    return isinstance(event, Recorded) and getattr(event.records[0], "metric", "") == "mean-shift"


def test_a_finished_run_can_be_scored_with_one(suite, registry):
    run(suite, registry)
    scored = qbench.score("run", ["mean-shift"], registry=registry, cache=False)
    assert scored.complete
    assert all(math.isfinite(value) for value in shifts(scored).values())


def test_workers_compute_the_same(distribution, registry, toy_site, monkeypatch):
    suite, _ = distribution
    one = run(suite, registry)
    monkeypatch.syspath_prepend(str(toy_site))
    monkeypatch.setenv("PYTHONPATH", str(toy_site))
    default_registry.cache_clear()
    two = qbench.run(suite, output="two", cache=False, jobs=2)
    default_registry.cache_clear()
    assert shifts(two) == shifts(one)


def test_a_point_with_a_failed_cell_is_skipped_with_the_reason(distribution, registry):
    suite, _ = distribution
    suite["codecs"]["broken"] = {"codec": "shift", "fail_on": 51}
    done = run(suite, registry)
    assert done.complete
    entry = done.point_entries["broken"]["mean-shift"]
    assert (entry.status, entry.reason) == (Status.SKIPPED, "1 of 3 images have no features")
    assert done.point_entries["shift:bits=1"]["mean-shift"].status is Status.OK
    sessions = len(done.sessions)
    assert len(run(suite, registry).sessions) == sessions  # and is not tried again


@pytest.mark.parametrize(
    ("how", "status", "message"),
    [
        ("finish-raises", Status.FAILED, "deliberate"),
        ("one-image", Status.NOT_APPLICABLE, "too few images"),
        ("not-applicable", Status.SKIPPED, "3 of 3 images have no features"),
        ("float64", Status.SKIPPED, "3 of 3 images have no features"),
        ("nan", Status.SKIPPED, "3 of 3 images have no features"),
        ("too-few", Status.SKIPPED, "3 of 3 images have no features"),
    ],
)
def test_what_goes_wrong_is_said(suite, registry, how, status, message):
    suite["metrics"] = ["psnr", {"mean-shift": {"how": how}}]
    done = run(suite, registry)
    assert done.complete
    for entries in done.point_entries.values():
        assert entries["mean-shift"].status is status
        assert message in entries["mean-shift"].reason
    assert all(row.entries["psnr"].status is Status.OK for row in done.rows)
    contract = {
        "float64": "float64 of 2 dimensions, not a float32 array",
        "nan": "NaN or infinity",
        "too-few": "0 results",
    }
    if how in contract:
        assert contract[how] in done.failures[0].message
        assert done.failures[0].what == "metric mean-shift, plugin toys (toys 1.0)"


def test_a_failed_finish_can_be_retried(suite, registry, monkeypatch):
    import toys

    suite["metrics"] = [{"mean-shift": {"how": "finish-raises"}}]
    assert len(run(suite, registry).failures) == 3
    monkeypatch.setattr(toys.MeanShift, "finish", lambda self, one, other: {"mean-shift": 1.0, "samples": 2})
    assert len(run(suite, registry).failures) == 3
    assert not run(suite, registry, retry_failed=True).failures


def test_tables_show_it_where_it_belongs(distribution, registry):
    suite, _ = distribution
    done = run(suite, registry)
    assert "mean-shift" not in write_text(done, "markdown", View())
    assert "mean-shift ↓" in write_text(done, "markdown", View("point"))
    by_point = {group.key: group.summaries["mean-shift"] for group in group_rows(done, "point")}
    assert {point: summary.mean for point, summary in by_point.items()} == shifts(done)
    assert group_rows(done, "codec")[0].summaries["mean-shift"].count == 3
    assert group_rows(done, "image")[0].summaries["mean-shift"].mean is None
    order = [line.split()[1] for line in write_text(done, "markdown", View("point", "mean-shift")).splitlines()[2:]]
    assert order == sorted(shifts(done), key=shifts(done).get)
