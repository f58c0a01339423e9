"""Images of more than 8 bits through a whole run: for the plugins that accept them, not applicable to the others."""

from __future__ import annotations

import pytest
import toys

import qbench
from qbench.results.run import Status
from qbench.store.folder import RunFolder

SUITE = {"images": [{"dataset": "deep"}], "codecs": {"raw": None, "shift": None}, "metrics": ["bpp", "mapped", "psnr"]}


@pytest.fixture
def done(registry):
    return qbench.run(SUITE, registry=registry, output="run", cache=False)


def test_plugins_that_accept_a_format_get_it_and_others_say_that_they_do_not(done):
    assert done.complete
    assert not done.failures
    raw, shift = done.rows
    assert raw.cell.bitstream_size == 9 + 2 * 32 * 48 * 3
    assert raw.cell.reconstruction_sha256 == done.plan.images[0].sha256 == toys.DeepRamp().read().digest
    assert raw.entries["mapped"].value == 0
    assert raw.entries["psnr"].status is Status.NOT_APPLICABLE
    assert "12-bit sRGB" in raw.entries["psnr"].reason
    assert shift.status is Status.NOT_APPLICABLE
    assert shift.reason == "shift does not accept 12-bit sRGB images"


def test_a_deep_reconstruction_is_scored_again_from_what_was_kept(done, registry):
    again = qbench.score(done.path, ["difference", {"again": {"metric": "mapped"}}], registry=registry)
    assert again.rows[0].entries["again"].value == 0
    assert again.rows[0].entries["difference"].status is Status.NOT_APPLICABLE
    assert RunFolder(done.path).reconstruction_path(done.plan.points[0], "ramp").is_file()
