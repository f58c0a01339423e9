"""The filters of PNG."""

from __future__ import annotations

from typing import Any

import numpy as np

from qbench.toolkit.kernels import kernel

FILTERS = 5


@kernel
def filter_rows(rows: Any, found: Any) -> None:
    """Filter each row as PNG does (ISO/IEC 15948, clause 9): by that of the five which leaves least.

    "Least" is the sum of the magnitudes of what is left, taken for signed bytes, as clause 12.8 advises; of several the
    first.

    Args:
        rows: uint8, H×(3·W), of 8-bit RGB.
        found: uint8, H×(1 + 3·W), written to: the filter's number, and what it leaves.
    """
    height, width = rows.shape
    tried = np.empty((FILTERS, width), np.uint8)
    padded = np.zeros((2, width + 3), np.int16)  # a pixel of zeros at the left, and a row of them above
    for r in range(height):
        row, above = padded[r % 2], padded[1 - r % 2]
        for c in range(width):
            row[c + 3] = rows[r, c]
        none, sub, up, average, paeth = tried[0], tried[1], tried[2], tried[3], tried[4]
        for c in range(width):
            value, a, b, corner = row[c + 3], row[c], above[c + 3], above[c]
            none[c] = value
            sub[c] = value - a
            up[c] = value - b
            average[c] = value - ((a + b) >> 1)
            # The one of left, above and corner that is nearest to left + above - corner, in this order.
            pa, pb, pc = abs(b - corner), abs(a - corner), abs(a + b - corner - corner)
            nearest = a if (pa <= pb) & (pa <= pc) else (b if pb <= pc else corner)
            paeth[c] = value - nearest
        best, least = 0, np.int64(1) << 60
        for number in range(FILTERS):
            left = tried[number]
            total = np.int64(0)
            for c in range(width):
                magnitude = np.int32(left[c])
                total += min(magnitude, 256 - magnitude)
            if total < least:
                best, least = number, total
        out, kept = found[r], tried[best]
        out[0] = best
        for c in range(width):
            out[c + 1] = kept[c]
