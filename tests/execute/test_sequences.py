"""Any sequence of running, scoring, retrying, moving and interrupting ends as a run made in one go."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import toys
from conftest import sample_pixels
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from PIL import Image

import qbench
from qbench.errors import QbenchError
from qbench.execute.work import Recorded, Stop

FAILING = "TOYS_FAIL"
IMAGES = (("a", 12, 9), ("b", 8, 16))
REGISTRY = toys.registry()


def values(run):
    """Return all that was measured: cell and column → value, and the bitstream's digest."""
    found = {}
    for row in run.rows:
        if row.status == "ok":
            found[row.image, row.point] = row.cell.bitstream_sha256
        for name, entry in row.entries.items():
            if entry.status == "ok":
                found[row.image, row.point, name] = entry.value
    for point, entries in run.point_entries.items():
        found |= {(point, name): entry.value for name, entry in entries.items() if entry.status == "ok"}
    return found


class Sequences(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.before = dict(os.environ)
        os.environ["QBENCH_HOME"] = str(self.root / "home")
        self.originals = self.root / "originals-0"
        self.originals.mkdir()
        for name, width, height in IMAGES:
            Image.fromarray(sample_pixels(width, height)).save(self.originals / f"{name}.png")
        self.moves = 0
        self.scored = []
        self.begun = False
        self.known = {}

    @initialize(reconstructions=st.booleans(), bitstreams=st.booleans(), features=st.booleans())
    def decide(self, reconstructions, bitstreams, features):
        self.keep = {"reconstructions": reconstructions, "bitstreams": bitstreams, "features": features}

    @property
    def suite(self):
        return {
            "name": "sequence",
            "images": [{"folder": str(self.originals)}],
            "codecs": {"fragile": {"bits": [1, 4]}},
            "metrics": ["bpp", "mean-shift", "fragile-difference"],
            "keep": self.keep,
        }

    def run(self, **options):
        done = qbench.run(self.suite, output=self.root / "run", registry=REGISTRY, **options)
        self.begun = True
        self.check(done)
        return done

    def check(self, done):
        """Nothing that was measured is gone, or another."""
        found = values(done)
        assert {key: found.get(key) for key in self.known} == self.known
        self.known = found

    @rule(cache=st.booleans(), retry=st.booleans())
    def run_it(self, cache, retry):
        self.run(cache=cache, retry_failed=retry)

    @rule(after=st.integers(0, 9), cache=st.booleans(), retry=st.booleans())
    def interrupt_it(self, after, cache, retry):
        stop, heard = Stop(), []

        def listen(event):
            heard.append(isinstance(event, Recorded))
            if sum(heard) > after:
                stop.set("interrupted")

        self.run(cache=cache, retry_failed=retry, on_event=listen, stop=stop)

    @rule(after=st.integers(0, 9))
    def break_it(self, after):
        """Somebody's listener raises, as a full disk does, in the middle of it."""
        heard = []

        def listen(event):
            heard.append(isinstance(event, Recorded))
            if sum(heard) > after:
                raise BufferError

        try:
            self.run(on_event=listen)
        except BufferError:
            self.begun = True
            self.check(qbench.load_run(self.root / "run"))

    @rule(metric=st.sampled_from(["mse", "psnr", "difference", "png-size-ratio"]), cache=st.booleans())
    def score_it(self, metric, cache):
        if not self.begun:
            return
        try:
            self.check(
                qbench.score(self.root / "run", metric, registry=REGISTRY, cache=cache, originals=self.originals)
            )
        except QbenchError as error:
            assert "neither bitstream nor reconstruction is kept" in str(error)
            return
        self.scored.append(metric)

    @rule()
    def move_originals(self):
        self.moves += 1
        self.originals = self.originals.rename(self.root / f"originals-{self.moves}")

    @rule(failing=st.sampled_from(["", "codec", "metric"]))
    def let_it_fail(self, failing):
        os.environ[FAILING] = failing

    def teardown(self):
        try:
            os.environ[FAILING] = ""
            done = self.run(retry_failed=True)
            assert done.complete
            assert not done.failures
            again = self.run(retry_failed=True)
            assert values(again) == values(done)
            metrics = [*self.suite["metrics"], *dict.fromkeys(self.scored)]
            at_once = qbench.run(
                {**self.suite, "metrics": metrics}, output=self.root / "at once", registry=REGISTRY, cache=False
            )
            assert values(at_once) == values(done)
        finally:
            os.environ.clear()
            os.environ.update(self.before)
            shutil.rmtree(self.root)


TestSequences = Sequences.TestCase
TestSequences.settings = settings(
    max_examples=6 if settings.default.derandomize else 300,
    stateful_step_count=10,
    suppress_health_check=[HealthCheck.too_slow],
)
