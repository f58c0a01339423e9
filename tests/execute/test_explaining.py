"""What is behind scores, and what a report may do to know it."""

from __future__ import annotations

import pytest
import toys

import qbench
from qbench.api.explaining import explain_all
from qbench.errors import PluginError, QbenchError
from qbench.plugin import Explanation, ExplanationTable


@pytest.fixture
def made(suite, registry):
    """A run that keeps no reconstructions, with a metric that explains."""
    suite["metrics"] = ["mapped"]
    suite["codecs"] = {"shift": {"bits": 2}}
    suite["keep"] = {"reconstructions": False}
    return qbench.run(suite, registry=registry, output="run", cache=False)


def test_a_report_decodes_nothing_and_says_so(made, registry, monkeypatch):
    def decode(self, bitstream):
        raise AssertionError("decoded")

    monkeypatch.setattr(toys.Shift, "decode", decode)
    told = []
    assert explain_all(made, registry=registry, notice=told.append) == {}
    assert len(told) == 3
    assert "no reconstruction is kept, and a report decodes nothing; qbench explain does" in told[0]
    with pytest.raises(PluginError, match=r"codec shift, plugin toys \(toys 1.0\) failed: AssertionError: decoded"):
        qbench.explain(made, "p0", "shift", registry=registry)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "explain returned NoneType, not a qbench.plugin.Explanation"),
        (Explanation({"largest": [3]}), r"explain gave \[3\], a list; accepted: text and numbers"),
        (
            Explanation({}, (ExplanationTable("labels", ("label", "rank"), (("cat",),)),)),
            "a row of the table `labels` doesn't have one value per column",
        ),
        (Explanation({}, (), (b"png",)), "explain returned bytes, not a qbench.plugin.Artifact"),
    ],
)
def test_a_broken_explanation_is_named(made, registry, monkeypatch, given, message):
    monkeypatch.setattr(toys.Mapped, "explain", lambda self, candidates, prepared: given)
    with pytest.raises(PluginError, match=message):
        qbench.explain(made, "p0", "shift", registry=registry)


def test_what_is_not_there_is_told_with_the_nearest(made, registry):
    for arguments, message in (
        (("p9", "shift"), r"no image `p9` \(has: p0, p1, p2\)"),
        (("p0", "shfit"), "no operating point `shfit`; did you mean `shift`"),
        (("p0", "shift", "maped"), "no metric `maped` in this run; did you mean `mapped`"),
    ):
        with pytest.raises(QbenchError, match=message):
            qbench.explain(made, *arguments, registry=registry)
