"""Values of the authors' own programs, on pictures that any program can draw.

Computed once, in float64, by GNU Octave 7.3, with the steps of the authors' published MATLAB programs (FeatureSIM.m,
VSI.m, HaarPSI.m, GMSD.m, MDSI.m, ssim_index.m, vifp_mscale.m) and MATLAB's ``imresize`` and ``fspecial`` written out.
Sides are odd, shrunk by factors of 1, 2 and 3 (2.5 rounded up), with a remainder or without.
"""

from __future__ import annotations

import numpy as np
import pytest
from image_pairs import value

OFFICIAL = {
    (203, 187): {
        "fsim": 0.9849303652,
        "vsi": 0.9957930472,
        "haarpsi": 0.9577621177,
        "gmsd": 0.0256795115,
        "mdsi": 0.2295879340,
        "ssim": 0.9805418925,
        "vifp": 0.6950413449,
    },
    (256, 341): {
        "fsim": 0.9853701940,
        "vsi": 0.9957545518,
        "haarpsi": 0.9562362010,
        "gmsd": 0.0252429945,
        "mdsi": 0.2269289988,
        "ssim": 0.9807786303,
        "vifp": 0.6892434614,
    },
    (391, 640): {
        "fsim": 0.9897137646,
        "vsi": 0.9968045671,
        "haarpsi": 0.9472471361,
        "gmsd": 0.0272380541,
        "mdsi": 0.2273977647,
        "ssim": 0.9808464313,
        "vifp": 0.6729903878,
    },
    (640, 700): {
        "fsim": 0.9907476175,
        "vsi": 0.9961323777,
        "haarpsi": 0.9447930530,
        "gmsd": 0.0275210509,
        "mdsi": 0.2243760868,
        "ssim": 0.9808662556,
        "vifp": 0.6720113531,
    },
}


def generated(height, width):
    """Return an original and what became of it, drawn with integers."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes, worse = [], []
    for c in range(3):
        waves = (rows * (3 + c) + columns * (5 - c)) % 97 + ((rows // 19 + columns // (23 + c)) % 2) * 90
        grain = (rows * rows * 7 + columns * columns * 11 + rows * columns * (c + 3)) % 31
        planes.append(waves + grain)
        worse.append((waves + grain) // 12 * 12 + (columns // 8 % 2) * 7 + c)
    return tuple(np.stack(each, axis=2).astype(np.uint8) for each in (planes, worse))


@pytest.mark.parametrize("size", OFFICIAL, ids=str)
@pytest.mark.parametrize("metric", OFFICIAL[203, 187])
def test_values_are_the_authors(metric, size):
    assert value(metric, *generated(*size)) == pytest.approx(OFFICIAL[size][metric], abs=5e-7)
