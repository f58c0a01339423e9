"""The bundled corrector: it is what its card says, and the codec's default."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from image_pairs import COFFEE, jpeg
from skimage.data import astronaut

from qbench.plugin import Context, Image, find_weights
from qbench.testing import check_codec
from qbench_restore.codec import BUNDLED, JpegRestore, JpegRestoreParameters


def test_the_file_is_the_registered_one():
    content = find_weights(BUNDLED).read_bytes()
    assert hashlib.sha256(content).hexdigest() == BUNDLED.sha256
    assert len(content) == BUNDLED.size <= 2_000_000


@pytest.mark.parametrize("quality", [5, 20, 50, 85])
def test_gains_at_equal_bytes(quality):
    for original in (astronaut(), COFFEE):
        codec = JpegRestore(JpegRestoreParameters(quality=quality), Context())
        restored = codec.decode(codec.encode(Image(original))).pixels.astype(float)
        errors = [np.mean((pixels - original) ** 2) for pixels in (restored, jpeg(original, quality).astype(float))]
        assert 10 * np.log10(errors[1] / errors[0]) > 0.3


def test_keeps_the_contract_of_codecs():
    check_codec(JpegRestore, parameters={"quality": 30}, mutations=20)
