"""The kit's command, and the ways by which a decoder may have what no bitstream told it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

from qbench.plugin import Image
from qbench.registry.registry import default_registry
from qbench.testing import check_codec
from qbench.testing.settings import random_settings

KEPT: list[Image] = []


class InMemory(toys.Shift):
    def encode(self, image):
        KEPT[:] = [image]
        return b"\1"

    def decode(self, bitstream):
        return KEPT[0]


class InFile(toys.Shift):
    place = Path(tempfile.gettempdir()) / f"qbench-test-cheat-{os.getpid()}"

    def encode(self, image):
        number = len(list(self.place.parent.glob(f"{self.place.name}-*.npy")))
        np.save(f"{self.place}-{number}.npy", image.pixels)
        return str(number).encode()

    def decode(self, bitstream):
        return Image(np.load(f"{self.place}-{int(bitstream)}.npy"))


class InEnvironment(toys.Shift):
    def encode(self, image):
        height, width = image.shape[:2]
        os.environ[f"CHEAT_{image.digest[:8]}"] = f"{height},{width};" + image.pixels.tobytes().hex()
        return image.digest[:8].encode()

    def decode(self, bitstream):
        head, _, body = os.environ[f"CHEAT_{bitstream.decode()}"].partition(";")
        return Image(np.frombuffer(bytes.fromhex(body), np.uint8).reshape(*map(int, head.split(",")), 3))


@pytest.mark.parametrize("cls", [InMemory, InFile, InEnvironment])
def test_a_decoder_that_knows_more_than_the_bitstream_tells_is_found(cls, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    cls.deterministic = False
    try:
        with pytest.raises(AssertionError, match=r"another way than the bitstream|decode returned"):
            check_codec(cls, fresh_process=False, mutations=0)
    finally:
        for path in InFile.place.parent.glob(f"{InFile.place.name}-*.npy"):
            path.unlink()


def test_what_is_coded_honestly_passes():
    told = []
    check_codec(toys.Shift, parameters={"bits": 5}, mutations=2, fresh_process=False, passed=told.append)
    assert told == [
        "codes 8 images, down to one pixel, and leaves them alone",
        "other instances give the same, in any order",
        "the decoder knows no more than the bitstream tells",
        "40 damaged bitstreams do no harm",
    ]


@given(st.integers(0, 2**32))
def test_random_settings_are_accepted(seed):
    rng = np.random.default_rng(seed)
    registry = default_registry()
    for name in ("jpeg", "avif", "autoencoder", "gan-inversion"):
        model = registry.codecs[name].Parameters
        model.model_validate(random_settings(model, rng))


def test_the_command(qbench_command):
    done = qbench_command("check", "jpeg", "--random", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓ another process decodes the same pixels") == 2
    bad = qbench_command("check", "faulty", "--set", "how=segfault", "--random", "0")
    assert bad.returncode == 1
    assert "✗ the process ended with exit code -11" in bad.stdout
    slow = qbench_command("check", "faulty", "--set", "how=sleep", "--random", "0", "--seconds", "2")
    assert slow.returncode == 1
    assert "not finished in time" in slow.stdout
    unknown = qbench_command("check", "jpg")
    assert unknown.returncode == 2
    assert "no codec or metric `jpg`; did you mean `jpeg`?" in unknown.stderr
