"""Pictures at the edges of what there can be."""

from __future__ import annotations

import numpy as np

SIDE = (176, 187)


def flat(*levels):
    return np.full((*SIDE, 3), levels if len(levels) > 1 else levels * 3, np.uint8)


def one_off(image, by=1):
    changed = image.copy()
    changed[90, 77, 1] = min(255, int(changed[90, 77, 1]) + by) if by > 0 else max(0, int(changed[90, 77, 1]) + by)
    return changed


def text(paper=(250, 245, 230)):
    page = flat(*paper)
    page[10:-10:9, 8:-8] = np.random.default_rng(5).integers(20, 90, (len(page[10:-10:9]), SIDE[1] - 16, 1))
    return page


NOISE = np.random.default_rng(1).integers(0, 256, (*SIDE, 3), np.uint8)
