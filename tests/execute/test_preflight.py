"""What is found out before anything is coded; what plugins tell; what metrics explain."""

from __future__ import annotations

from typing import ClassVar

import pytest
import toys
from conftest import sample_pixels

import qbench
from qbench.api.explaining import explain_all
from qbench.execute.work import Notice
from qbench.plugin import (
    Candidates,
    Column,
    Context,
    Direction,
    Explanation,
    ExplanationTable,
    Image,
    Metric,
    ModelError,
    Parameters,
    PluginError,
    QbenchError,
    Reference,
    Weights,
    hookimpl,
)
from qbench.store.folder import RunFolder


class WitnessParameters(Parameters):
    weights: str = ""
    trouble: str = ""


class Witness(Metric):
    """Uses weights, tells things, explains itself; makes trouble as told."""

    name = "witness"
    summary = "uses weights"
    columns: ClassVar = (Column("witness", Direction.HIGHER),)
    Parameters: ClassVar = WitnessParameters

    def __init__(self, parameters, context):
        super().__init__(parameters, context)
        if parameters.trouble == "settings":
            raise QbenchError("witness: these settings contradict each other")
        if parameters.trouble == "constructor":
            raise RuntimeError("a mistake in the plugin")

    @classmethod
    def weights(cls, parameters, profile):
        if parameters.trouble == "weights":
            raise RuntimeError("a mistake in weights")
        path = parameters.weights
        return (Weights("far/away", "a toy", path, "0" * 64, 10, "CC0-1.0", "test"),) if path else ()

    def prepare(self, reference):
        self.context.notice(f"looked at {reference.name}")

    def score(self, candidates, prepared):
        return [{"witness": float(pixels.mean())} for pixels in candidates.pixels]

    def explain(self, candidates, prepared):
        if self.parameters.trouble == "explain":
            raise RuntimeError("lost the thread")
        mean = float(candidates.pixels[0].mean())
        return Explanation({"mean": mean}, (ExplanationTable("rows", ("row", "mean"), (("first", mean),)),))


class Plugin:
    @hookimpl
    def qbench_register_metrics(self, register):
        register(Witness)


@pytest.fixture
def registry():
    made = toys.registry()
    made.register(Plugin(), toys.PluginInfo("witness", "test", "1"))
    return made


def with_witness(suite, **settings):
    return {**suite, "metrics": {"difference": None, "witness": settings}}


def test_missing_weights_are_said_before_anything_is_coded(suite, registry, tmp_path):
    log = tmp_path / "log"
    suite["codecs"]["shift"]["log"] = str(log)
    asked = with_witness(suite, weights="https://example.org/w.safetensors")
    with pytest.raises(ModelError, match=r"`far/away` .* are not downloaded; .*: qbench models pull far/away"):
        qbench.run(asked, registry=registry, output="run", cache=False)
    assert not log.exists()
    assert not (tmp_path / "work" / "run").exists()


def test_settings_that_only_the_metric_can_judge_are_said_before_anything_is_coded(suite, registry):
    with pytest.raises(QbenchError, match="contradict each other"):
        qbench.run(with_witness(suite, trouble="settings"), registry=registry, output="run", cache=False)


def test_a_plugins_mistake_is_a_failure_in_the_run(suite, registry):
    done = qbench.run(with_witness(suite, trouble="constructor"), registry=registry, output="run", cache=False)
    assert {note.what for note in done.failures} == {"metric witness, plugin witness (test 1)"}
    assert "a mistake in the plugin" in done.failures[0].traceback
    assert all(row.entries["difference"].value is not None for row in done.rows)


def test_a_mistake_in_weights_names_the_plugin(suite, registry):
    with pytest.raises(PluginError, match=r"witness \(test 1\): weights failed:\n[\s\S]*a mistake in weights"):
        qbench.plan(with_witness(suite, trouble="weights"), registry=registry)


def test_digests_of_weights_are_part_of_the_keys(suite, registry):
    def key(**settings):
        plan = qbench.plan(with_witness(suite, **settings), registry=registry)
        return plan.metrics[1].identity["weights"], plan.key()

    without, with_weights = key(), key(weights="https://example.org/w.safetensors")
    assert without[0] == {}
    assert with_weights[0] == {"far/away": "0" * 64}
    assert without[1] != with_weights[1]


def test_what_a_plugin_tells_comes_as_a_notice(suite, registry):
    events = []
    qbench.run(with_witness(suite), registry=registry, output="run", cache=False, on_event=events.append)
    told = [event.text for event in events if isinstance(event, Notice)]
    assert told == ["looked at p0", "looked at p1", "looked at p2"]


def test_outside_a_run_what_is_told_is_a_warning():
    with pytest.warns(UserWarning, match="hello"):
        Context().notice("hello")


def test_explains_a_cell(suite, registry):
    done = qbench.run(with_witness(suite), registry=registry, output="run", cache=False)
    planned, explanation = qbench.explain("run", "p1", "shift:bits=3", registry=registry)
    row = next(row for row in done.rows if (row.image, row.point) == ("p1", "shift:bits=3"))
    assert planned.label == "witness"
    assert explanation.facts["mean"] == row.entries["witness"].value
    # From the bitstream, too.
    RunFolder(done.path).reconstruction_path(done.plan.point("shift:bits=3"), "p1").unlink()
    assert qbench.explain("run", "p1", "shift:bits=3", registry=registry)[1] == explanation
    RunFolder(done.path).bitstream_path(done.plan.point("shift:bits=3"), "p1").unlink()
    with pytest.raises(QbenchError, match="the bitstream is gone"):
        qbench.explain("run", "p1", "shift:bits=3", registry=registry)


def test_explains_all_that_can_be_explained(suite, registry, photos):
    suite["codecs"]["shift"]["fail_on"] = 51
    done = qbench.run(with_witness(suite), registry=registry, output="run", cache=False)
    told = []
    explanations = explain_all(done, registry=registry, notice=told.append)
    scored = {(row.image, row.point): row.entries["witness"].value for row in done.rows if row.cell.outcome == "coded"}
    assert {place: each["witness"].facts["mean"] for place, each in explanations.items()} == scored
    assert len(scored) < len(done.rows)
    (photos / "p0.png").unlink()
    fewer = explain_all(done, registry=registry, notice=told.append)
    assert {image for image, _ in fewer} == {image for image, _ in scored} - {"p0"}
    assert any("p0.png: can't read the image" in text for text in told)


@pytest.mark.parametrize(
    ("image", "point", "metric", "message"),
    [
        ("p7", "shift:bits=3", None, r"no image `p7`.*has: p0, p1, p2"),
        ("p1", "shift:bits=9", None, r"no operating point `shift:bits=9`; did you mean `shift:bits="),
        ("p1", "shift:bits=3", "difference", "difference has nothing to explain beyond its value"),
        ("p1", "shift:bits=3", "witnes", r"no metric `witnes` in this run; did you mean `witness`\?"),
    ],
)
def test_what_can_not_be_explained(suite, registry, image, point, metric, message):
    qbench.run(with_witness(suite), registry=registry, output="run", cache=False)
    with pytest.raises(QbenchError, match=message):
        qbench.explain("run", image, point, metric, registry=registry)


def test_a_run_without_a_metric_that_explains_and_cells_without_reconstruction(suite, registry, photos):
    qbench.run(suite, registry=registry, output="plain", cache=False)
    with pytest.raises(QbenchError, match="no metric in this run supports explain"):
        qbench.explain("plain", "p1", "shift:bits=3", registry=registry)
    suite["codecs"]["shift"]["fail_on"] = 51
    qbench.run(with_witness(suite), registry=registry, output="failing", cache=False)
    with pytest.raises(QbenchError, match=r"p1 at shift:bits=3 has no reconstruction .*\(failed: told to fail"):
        qbench.explain("failing", "p1", "shift:bits=3", registry=registry)
    (photos / "p0.png").write_bytes((photos / "p2.png").read_bytes())
    with pytest.raises(QbenchError, match="changed since the run"):
        qbench.explain("failing", "p0", "shift:bits=3", registry=registry)


def test_what_a_plugin_tells_while_it_explains_is_passed_on(suite, registry):
    qbench.run(with_witness(suite), registry=registry, output="run", cache=False)
    told = []
    qbench.explain("run", "p1", "shift:bits=3", registry=registry, notice=told.append)
    assert told == ["looked at p1"]


def test_a_failing_explanation_names_the_plugin(suite, registry):
    qbench.run(with_witness(suite, trouble="explain"), registry=registry, output="run", cache=False)
    with pytest.raises(PluginError, match=r"plugin witness \(test 1\) failed: lost the thread\nTraceback"):
        qbench.explain("run", "p1", "shift:bits=3", registry=registry)


def test_images_of_other_sizes_in_one_batch_are_refused():
    reference = Reference("a", Image(sample_pixels(40, 30)))
    with pytest.raises(
        ValueError, match=r"candidate 1 of a is <Image 40×31, 8-bit sRGB>, its original <Image 40×30, 8-bit sRGB>"
    ):
        Candidates(reference, [Image(sample_pixels(40, 30)), Image(sample_pixels(40, 31))], [1, 1])
