"""Runs whose codecs compute on accelerators that are only said to be there."""

from __future__ import annotations

import pytest
from conftest import run_heard

import qbench
from qbench.errors import StoreError
from qbench.execute.as_planned import made_elsewhere
from qbench.execute.work import Recorded
from qbench.planning.placing import placed, with_metrics
from qbench.results.run import Status

H100 = {"name": "NVIDIA H100", "capability": "9.0", "cuda": "13.0", "cudnn": "91002"}


@pytest.fixture
def two_devices(monkeypatch, installed):
    """Have qbench believe that there are two; plugins see to the rest in their processes."""
    devices = ("cuda:0", "cuda:1")
    monkeypatch.setattr("qbench.execute.accelerators.accelerators", lambda wanted: () if wanted == "cpu" else devices)
    for user in ("api.running", "execute.session"):
        monkeypatch.setattr(f"qbench.{user}.kind_of", lambda device: None if device == "cpu" else H100)
    monkeypatch.setattr("qbench.execute.session.name_of", lambda device: device)
    monkeypatch.setattr("qbench.execute.provenance.name_of", lambda device: device)
    monkeypatch.setattr("qbench.execute.provenance.conditions_of", lambda devices: {"devices": list(devices)})
    return devices


@pytest.fixture
def there(suite):
    suite["timing"] = {"repeats": 1, "budget": 0.0}
    suite["metrics"] = ["bpp", "original-mean"]
    suite["codecs"] = {"there": {"codec": "on-device"}, "here": {"codec": "shift", "bits": 2}}
    return suite


def run(suite, **options):
    return run_heard(suite, **{"jobs": 1, **options})


def test_a_device_that_no_longer_answers_ends_its_process_and_nothing_else(there, two_devices):
    there["codecs"] = {
        "before": {"codec": "on-device"},
        "breaks": {"codec": "on-device", "how": "break-device"},
        "after": {"codec": "on-device"},
    }
    done, notices = run(there)
    assert done.complete
    for row in done.rows:
        assert row.status is (Status.FAILED if row.codec == "breaks" else Status.OK), (row.codec, row.reason)
    assert {note.what for note in done.failures} == {"codec on-device, plugin faults (toys 1.0)"}
    assert all("illegal memory access" in note.message for note in done.failures)
    assert sum("no longer answers its process" in text for text in notices) == 1  # the same is told once


@pytest.mark.slow
def test_each_device_has_a_process_of_its_own_and_processors_none(there, two_devices):
    there["codecs"] = {"there": {"codec": "on-device", "how": "slowly"}, "here": {"codec": "on-processor"}}
    done, _ = run(there, jobs=2)
    assert done.complete
    (session,) = done.sessions
    assert session.provenance["accelerators"] == {"devices": ["cuda:0", "cuda:1"]}
    places = {
        name: {part for row in done.rows if row.codec == name for part in row.cell.parts} for name in ("there", "here")
    }
    assert places == {"there": {"cuda:0", "cuda:1"}, "here": {"cpu"}}


def test_results_of_a_device_and_of_the_processor_have_keys_of_their_own(there, two_devices):
    here, on_device = qbench.plan(there, device="cpu"), qbench.plan(there, device="cuda")
    keys = {plan.points[0].id: None for plan in (here, on_device)}
    assert list(keys) == ["there"]
    pairs = list(zip(here.iter_cells(), on_device.iter_cells(), strict=True))
    assert {point.codec for (_, point, one), (_, _, other) in pairs if one != other} == {"on-device"}
    assert {point.codec for (_, point, one), (_, _, other) in pairs if one == other} == {"shift"}
    assert here.key() != on_device.key()
    assert placed(on_device, None).key() == here.key()
    assert placed(on_device, H100) == on_device
    assert on_device.points[0].identity["device"] == H100
    assert "device" not in on_device.points[1].identity


def test_a_run_is_not_gone_on_with_elsewhere(there, two_devices):
    done, _ = run(there, device="cpu")
    assert done.complete
    with pytest.raises(StoreError, match="with networks on a processor, whose results differ in their last digits"):
        run(there, device="cuda")
    other, _ = run(there, device="cuda", output="other")
    assert other.complete
    with pytest.raises(StoreError, match="with networks on NVIDIA H100"):
        run(there, device="cpu", output="other")
    again, _ = run(there, device="cuda", output="other")
    assert len(again.sessions) == 1


def test_what_is_missing_is_not_made_elsewhere(there, two_devices, monkeypatch):
    there["codecs"] = {"there": {"codec": "on-device"}}
    stop = qbench.Stop()

    def after_one(event):
        if isinstance(event, Recorded):
            stop.set()

    begun = qbench.run(there, output="run", cache=False, jobs=1, device="cuda", stop=stop, on_event=after_one)
    assert not begun.complete
    missing = {(row.image, row.point) for row in begun.rows if row.status is Status.PENDING}
    notices = []
    scored = qbench.score(
        "run", ["mse"], device="cpu", cache=False, jobs=1, on_event=lambda event: notices.append(str(event))
    )
    assert {(row.image, row.point) for row in scored.rows if row.status is Status.PENDING} == missing
    assert any("networks on name NVIDIA H100" in text and "on a processor now" in text for text in notices)
    done = qbench.score("run", ["mse"], device="cuda", cache=False, jobs=1)
    assert done.complete


@pytest.mark.slow
def test_the_cache_tells_them_apart(there, two_devices, home):
    run(there, device="cpu", cache=True)
    other, _ = run(there, device="cuda", output="other", cache=True)
    cached = {row.codec: row.cell.cached for row in other.rows}
    assert cached == {"there": False, "here": True}


@pytest.mark.parametrize(
    "how", ["", "die", *(pytest.param(how, marks=pytest.mark.slow) for how in ("not-the-first", "raise", "too-few"))]
)
def test_images_are_looked_at_together_and_alone_where_that_fails(there, two_devices, how):
    there["codecs"] = {"here": {"codec": "shift", "bits": [2, 3]}}
    there["metrics"] = ["original-mean", {"looks-together": {"metric": "looks-together", "how": how}}]
    done, _ = run(there)
    assert done.complete
    on_processor, _ = run(there, device="cpu", output="other")
    alone = {(row.image, row.point): row.entries["looks-together.mean"].value for row in on_processor.rows}
    rows = {(row.image, row.point): row for row in done.rows}
    images = len({row.image for row in done.rows})
    assert images > 1
    for (image, _), row in rows.items():
        entry = row.entries["looks-together"]
        if how == "not-the-first" and image == "p0":
            assert entry.reason == "it is the first"
            continue
        several = {"": 2 * images, "not-the-first": 2 * (images - 1)}.get(how, 1)
        assert entry.value == several
        assert row.entries["looks-together.mean"].value == alone[image, row.point]


def test_scoring_further_leaves_what_is_there(suite, installed):
    suite["metrics"] = ["bpp", "ssim"]
    plan = qbench.plan(suite, device="cpu")
    more = with_metrics(plan, H100, {"bpp"})
    assert "device" not in more.metrics[0].identity
    assert more.metrics[1].identity["device"] == H100
    assert more.points == plan.points


def test_a_target_that_is_measured_there_is_another(suite, installed):
    suite["metrics"] = ["bpp", "ssim"]
    suite["codecs"] = {"jpeg": {"target": {"ssim": 0.9}}, "plain": {"codec": "jpeg", "quality": 5}}
    plan = qbench.plan(suite, device="cpu")
    found = placed(plan, H100)
    assert ["device" in point.identity for point in found.points] == [True, False]
    assert set(made_elsewhere(plan, H100)) == {id(plan.points[0]), id(plan.metrics[1])}
    assert set(made_elsewhere(found, None)) == {id(found.points[0]), id(found.metrics[1])}
    assert made_elsewhere(plan, None) == made_elsewhere(found, H100) == {}


def test_what_a_metric_makes_of_an_original_is_kept_for_its_next_reconstructions(suite, installed, tmp_path):
    suite["images"][0]["limit"] = 1
    log = tmp_path / "log"
    suite["metrics"] = ["bpp", {"difference": {"log": str(log)}}]
    suite["codecs"] = {"jpeg": {"target": {"difference": 9.0}}}
    done = qbench.run(suite, output="run", cache=False, jobs=1)
    assert not done.failures
    said = log.read_text().split()
    assert said.count("prepare") == 1
    assert said.count("score") > 2
