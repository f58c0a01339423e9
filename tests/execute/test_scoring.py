from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
import toys
from conftest import sample_pixels

import qbench
from qbench.contracts.context import Context
from qbench.contracts.metric import Candidates, Column, Direction, Reference
from qbench.errors import NotApplicable
from qbench.execute import scoring
from qbench.execute.scoring import batches, score_batches
from qbench.execute.work import ContractError
from qbench.images.image import Image
from qbench.registry.catalogue import PluginInfo
from qbench.registry.hookspecs import hookimpl
from qbench.registry.registry import default_registry
from qbench.results.run import Status
from qbench.testing import check_metric

PIXELS = sample_pixels(40, 30)
IMAGE = Image(PIXELS)
BLACK = Image(np.zeros_like(PIXELS))
REFERENCE = Reference("a", IMAGE)


def score(cls, candidates, **parameters):
    metric = cls(cls.Parameters.model_validate(parameters), Context())
    groups = list(batches(REFERENCE, candidates, [10] * len(candidates)))
    return score_batches(metric, REFERENCE, groups)


def test_prepares_once_and_scores_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "CPU_BATCH_PIXELS", 2 * 40 * 30)
    log = tmp_path / "log"
    candidates = [Image(PIXELS ^ mask) for mask in (0, 1, 3, 7, 15)]
    outcomes = score(toys.Difference, candidates, log=str(log))
    assert outcomes[0] == {"difference": 0.0}
    assert outcomes[1] == {"difference": 1.0}
    assert [outcome["difference"] for outcome in outcomes] == sorted(outcome["difference"] for outcome in outcomes)
    assert log.read_text().split("\n")[:-1] == ["prepare a", "score a 2", "score a 2", "score a 1"]


def test_batches_hold_at_least_one_and_at_most_so_many_pixels(monkeypatch):
    monkeypatch.setattr(scoring, "CPU_BATCH_PIXELS", 1)
    assert [len(group) for group in batches(REFERENCE, [IMAGE] * 3, [1] * 3)] == [1, 1, 1]
    on_gpu = Reference("a", IMAGE, "cuda:0")
    assert [len(group) for group in batches(on_gpu, [IMAGE] * 3, [1] * 3)] == [3]


def test_batches_grow_by_the_threads_that_score_one_by_one(monkeypatch):
    monkeypatch.setattr(scoring, "CPU_BATCH_PIXELS", 40 * 30)
    assert [len(group) for group in batches(REFERENCE, [IMAGE] * 5, [1] * 5, 2)] == [2, 2, 1]


def test_batches_on_a_device_are_as_large_as_its_memory_allows(monkeypatch):
    on_gpu = Reference("a", IMAGE, "cuda:0")
    pixels = 40 * 30 * scoring.GPU_BYTES_PER_PIXEL
    monkeypatch.setattr(scoring, "free_bytes", lambda device: 2 * pixels)
    assert [len(group) for group in batches(on_gpu, [IMAGE] * 5, [1] * 5)] == [2, 2, 1]
    assert [len(group) for group in batches(on_gpu, [IMAGE] * 3, [1] * 3, largest=1)] == [1, 1, 1]
    monkeypatch.setattr(scoring, "free_bytes", lambda device: 10)
    assert [len(group) for group in batches(on_gpu, [IMAGE] * 2, [1] * 2)] == [1, 1]


class OutOfMemoryError(RuntimeError):
    """As torch's is called."""


def test_a_batch_without_room_is_halved_and_that_is_told(monkeypatch):
    sizes, said, given_back = [], [], []
    monkeypatch.setattr(scoring, "release_memory", given_back.append)
    monkeypatch.setattr(scoring, "CPU_BATCH_PIXELS", 10**6)

    class Large(toys.Difference):
        def score(self, candidates, prepared):
            sizes.append(len(candidates))
            if len(candidates) > 2:
                raise OutOfMemoryError("CUDA out of memory")
            return super().score(candidates, prepared)

    metric = Large(toys.Difference.Parameters(), Context())
    made = [Image(PIXELS ^ mask) for mask in (0, 1, 3, 7, 15)]
    found = score_batches(metric, REFERENCE, list(batches(REFERENCE, made, [1] * 5)), None, "", said.append)
    assert [each["difference"] for each in found] == sorted(each["difference"] for each in found)
    assert sizes == [5, 2, 2, 1]
    assert (said, given_back) == ([2], ["cpu"])


def test_what_was_made_of_an_original_is_used_again():
    calls = []

    class Counting(toys.Difference):
        def prepare(self, reference):
            calls.append(reference.name)
            return super().prepare(reference)

    metric, known = Counting(toys.Difference.Parameters(), Context()), {}
    for _ in range(2):
        groups = list(batches(REFERENCE, [IMAGE, BLACK], [1, 1]))
        score_batches(metric, REFERENCE, groups, known, "counting")
    assert calls == ["a"]
    assert list(known) == ["counting"]


PARALLEL = sorted(name for name, cls in default_registry().metrics.items() if cls.parallel)


@pytest.mark.parametrize("name", PARALLEL)
def test_threads_make_no_difference_to_scores(name):
    cls = default_registry().metrics[name]
    original = Image(sample_pixels(192, 176))
    made = [Image(original.pixels ^ mask) for mask in (0, 1, 3, 7, 15)]
    found = []
    for threads in (1, 3):
        metric, reference = cls(cls.Parameters(), Context(threads=threads)), Reference("a", original)
        found.append(score_batches(metric, reference, list(batches(reference, made, [1] * 5, threads))))
    assert found[0] == found[1]
    assert len(found[0]) == 5


def test_one_bad_reconstruction_does_not_take_its_neighbours_along():
    outcomes = score(toys.Oddity, [IMAGE, BLACK, IMAGE], how="black")
    assert outcomes[0] == outcomes[2] == {"oddity": 0.5, "second": 1.0}
    assert isinstance(outcomes[1], ValueError)


def test_not_applicable_for_an_image_or_for_one_candidate():
    whole = score(toys.Oddity, [IMAGE, IMAGE], how="not-applicable")
    assert [outcome.reason for outcome in whole] == ["moon in the wrong phase"] * 2
    one = score(toys.Oddity, [IMAGE, BLACK], how="some")
    assert one[0] == {"oddity": 0.5, "second": 1.0}
    assert isinstance(one[1], NotApplicable)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", "column oddity is NaN"),
        ("range", r"column oddity is 1.5, outside its declared range \[0, 1\]"),
        ("missing", r"score gave \['oddity'\]; its declared columns are \['oddity', 'second'\]"),
        ("text", "column oddity is 'high', not one number"),
        ("too-few", "score returned 0 results for 1 reconstructions"),
    ],
)
def test_broken_promises_are_failures(how, message):
    for outcome in score(toys.Oddity, [IMAGE, IMAGE], how=how):
        assert isinstance(outcome, ContractError)
        with pytest.raises(ContractError, match=message):
            raise outcome


def test_infinity_is_a_value():
    assert score(toys.Oddity, [IMAGE], how="infinite") == [{"oddity": 0.5, "second": float("inf")}]


def test_what_prepare_raises_is_everybodys_failure():
    outcomes = score(toys.Oddity, [IMAGE, IMAGE], how="prepare")
    assert [type(outcome) for outcome in outcomes] == [RuntimeError, RuntimeError]


def registry_with(metric):
    """Return the toys, and a metric beside them."""
    registry = toys.registry()
    plugin = ModuleType(metric.name)
    plugin.qbench_register_metrics = hookimpl(lambda register: register(metric))
    registry.register(plugin, PluginInfo(metric.name, "p", "1"))
    return registry


class InPlace(toys.Difference):
    """Works in place on what other metrics read, too."""

    name = "in-place"
    columns = (Column("in-place", Direction.LOWER, 0, 255),)
    how = "torch"

    def score(self, candidates, prepared):
        if self.how == "torch":
            candidates.tensor.div_(2)
        elif self.how == "numpy":
            candidates.tensor.numpy()[...] /= 2
        elif self.how == "channels":
            candidates.tensor.numpy()[:] = candidates.tensor.numpy()[:, ::-1].copy()
        elif self.how == "data":
            candidates.tensor.data.copy_(candidates.tensor.roll(3, -1))
        elif self.how == "reference":
            candidates.reference.tensor.zero_()
        elif self.how == "pixels":
            torch.from_numpy(candidates.pixels[0]).fill_(7)
        elif self.how == "flags":
            candidates.pixels[0].setflags(write=True)
            candidates.pixels[0][:] = 7
        elif self.how == "original":
            torch.from_numpy(candidates.reference.pixels).fill_(9)
        return [{"in-place": 0.0}] * len(candidates)


@pytest.mark.parametrize("how", ["torch", "numpy", "channels", "data", "reference", "pixels", "flags", "original"])
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_a_metric_that_writes_where_others_read_is_found_and_harms_no_other(suite, how, monkeypatch):
    monkeypatch.setattr(InPlace, "how", how)
    registry = registry_with(InPlace)
    plain = qbench.run({**suite, "metrics": ["mse", "psnr"]}, registry=registry, output="plain", cache=False)
    suite["metrics"] = ["mse", "in-place", "psnr"]
    done = qbench.run(suite, registry=registry, output="run", cache=False)
    for row, other in zip(done.rows, plain.rows, strict=True):
        assert row.entries["in-place"].status is Status.FAILED
        reason = "cannot set WRITEABLE flag" if how == "flags" else "writes to the images"
        assert reason in row.entries["in-place"].reason
        assert row.entries["psnr"] == other.entries["psnr"]
    with pytest.raises(AssertionError, match="which other metrics read"):
        check_metric(InPlace)


class Meddler(toys.Difference):
    """Does things to the objects that it is given, which others must not meet."""

    name = "meddler"
    columns = (Column("meddler", Direction.LOWER, 0, 255),)
    how = ""

    def score(self, candidates, prepared):
        black = np.zeros_like(candidates.images[0].pixels)
        acts = {
            "sizes": lambda: candidates.__dict__.update(bitstream_sizes=[1] * len(candidates)),
            "identical": lambda: candidates.__dict__.update(identical=(True,) * len(candidates)),
            "order": lambda: object.__setattr__(candidates, "images", candidates.images[::-1]),
            "image": lambda: object.__setattr__(candidates.images[0], "pixels", black),
            "original": lambda: object.__setattr__(candidates.reference.image, "pixels", black),
            "shape": lambda: setattr(candidates.images[0].pixels, "shape", (*black.shape[1::-1], 3)),
            "tensor": lambda: candidates.__dict__.update(tensor=candidates.tensor * 0),
            "lists": lambda: [candidates.images.reverse(), candidates.bitstream_sizes.sort()],
        }
        acts[self.how]()
        return [{"meddler": 0.0}] * len(candidates)


@pytest.mark.parametrize("how", ["sizes", "identical", "order", "image", "original", "shape", "tensor", "lists"])
def test_what_a_metric_does_to_its_objects_harms_no_other(suite, how, monkeypatch):
    monkeypatch.setattr(Meddler, "how", how)
    registry = registry_with(Meddler)
    suite["metrics"] = ["meddler", "bpp", "mse", "psnr", "mean-shift"]
    done = qbench.run(suite, registry=registry, output="run", cache=False)
    suite["metrics"] = ["bpp", "mse", "psnr", "mean-shift"]
    plain = qbench.run(suite, registry=registry, output="plain", cache=False)
    for row, other in zip(done.rows, plain.rows, strict=True):
        assert {name: row.entries[name] for name in other.entries} == other.entries
    assert {row.entries["meddler"].status for row in done.rows} == {
        Status.FAILED if how in ("lists", "tensor") else Status.OK
    }


def test_tensors_of_many_large_reconstructions_are_not_kept(monkeypatch):
    monkeypatch.setattr("qbench.execute.scoring.MOST_TENSOR_BYTES", 1000)
    pixels = sample_pixels(40, 30)
    reference = Reference("a", Image(pixels))
    groups = [Candidates(reference, [Image(pixels)], [1]) for _ in range(3)]
    mse = default_registry().metrics["mse"]
    outcomes = score_batches(mse(mse.Parameters(), Context()), reference, groups)
    assert outcomes == [{"mse": 0.0}] * 3
    assert not any("tensor" in group.__dict__ for group in groups)
