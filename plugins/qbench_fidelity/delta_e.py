"""CIE L*a*b* and ΔE00 of rows of pixels.

Without angles: a hue is the direction of (a', b'), the mean hue the direction of the sum of two of length 1, and sines
and cosines of its multiples follow from its own. What remains of angles is the distance of the mean hue from 275°, by a
polynomial. So every step is an addition, multiplication, division or square root, which processors take for many pixels
at a time, and round alike.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from qbench.toolkit.kernels import kernel

Plane = npt.NDArray[Any]

TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
"""Of linear sRGB (ITU-R BT.709 primaries), as scikit-image has it."""
WHITE = (0.95047, 1.0, 1.08883)
"""D65, 2° observer."""
MATRIX = np.array(TO_XYZ) / np.array(WHITE)[:, None]

COS30, SIN30 = math.cos(math.radians(30)), 0.5
COS6, SIN6 = math.cos(math.radians(6)), math.sin(math.radians(6))
COS63, SIN63 = math.cos(math.radians(63)), math.sin(math.radians(63))
COS275, SIN275 = math.cos(math.radians(275)), math.sin(math.radians(275))
FARTHEST = 0.75
"""(1 - cos δ) / 2 beyond which exp(-(δ / 25°)²) is nothing: at 120°, below 1e-10."""
ARC = (
    4.0000000044775845,
    1.333330731431193,
    0.7113610939556186,
    0.44770439269676343,
    0.5107240609130814,
    -1.9385190120987374,
    16.842201813552002,
    -85.93441538577882,
    310.574832650834,
    -789.3890876393152,
    1411.8133712299916,
    -1738.6650604083493,
    1406.6778167933287,
    -674.2634570464106,
    145.845596674506,
)
"""Of δ² / q in powers of q = (1 - cos δ) / 2, up to FARTHEST: within 1e-8, by least squares at Chebyshev's points."""
SPREAD64 = 1 / 64 / math.radians(25) ** 2
TURN = math.radians(60)
SEVENTH = 25.0**7
THIRD, GUESS = np.float32(1 / 3), np.float32(709921077.0)
"""A float's bits as an integer, over 3, plus this: its cube root within 4 %."""


@kernel
def differences(one: Plane, other: Plane, linear: Plane, matrix: Plane, found: Plane) -> None:
    """Write ΔE00 at every pixel.

    Args:
        one: sRGB, uint8 H×W×3.
        other: likewise.
        linear: what each of the 256 values is in linear light.
        matrix: from linear light to XYZ over the white point's, 3×3.
        found: H×W, written to.
    """
    width = found.shape[1]
    first, second = np.empty((3, width)), np.empty((3, width))
    xyz, rough = np.empty((3, width)), np.empty((2, width), np.float32)
    for r in range(found.shape[0]):
        _to_lab(one[r], linear, matrix, xyz, rough, first)
        _to_lab(other[r], linear, matrix, xyz, rough, second)
        _delta(first[0], first[1], first[2], second[0], second[1], second[2], found[r])


@kernel
def _to_lab(row: Plane, linear: Plane, matrix: Plane, xyz: Plane, rough: Plane, lab: Plane) -> None:
    """Take a row to L*a*b*; cube roots begin in float32, where a guess is a multiplication of a number's bits."""
    width = lab.shape[1]
    for c in range(width):
        red, green, blue = linear[row[c, 0]], linear[row[c, 1]], linear[row[c, 2]]
        for k in range(3):
            xyz[k, c] = matrix[k, 0] * red + matrix[k, 1] * green + matrix[k, 2] * blue
    value, root = rough[0], rough[1]
    bits, guess = value.view(np.int32), root.view(np.int32)
    for k in range(3):
        exact = xyz[k]
        for c in range(width):
            value[c] = exact[c]
        for c in range(width):
            guess[c] = np.int32(np.float32(bits[c]) * THIRD + GUESS)
        for _ in range(2):  # Halley's iteration, which triples the digits
            for c in range(width):
                cube = root[c] * root[c] * root[c]
                root[c] *= (cube + value[c] + value[c]) / (cube + cube + value[c])
        for c in range(width):
            once, t = np.float64(root[c]), exact[c]
            cube = once * once * once
            once *= (cube + t + t) / (cube + cube + t)
            exact[c] = once if t > 0.008856 else 7.787 * t + 16 / 116
    for c in range(width):
        lab[0, c] = 116 * xyz[1, c] - 16
        lab[1, c] = 500 * (xyz[0, c] - xyz[1, c])
        lab[2, c] = 200 * (xyz[1, c] - xyz[2, c])


@kernel
def _delta(light1: Plane, red1: Plane, blue1: Plane, light2: Plane, red2: Plane, blue2: Plane, out: Plane) -> None:
    """Write ΔE00 of a row, by the equations (2) to (22) of Sharma et al. 2005."""
    for c in range(out.size):
        l1, a1, b1, l2, a2, b2 = light1[c], red1[c], blue1[c], light2[c], red2[c], blue2[c]
        mean = 0.5 * (np.sqrt(a1 * a1 + b1 * b1) + np.sqrt(a2 * a2 + b2 * b2))
        seventh = mean * mean * mean
        seventh = seventh * seventh * mean
        stretch = 1.0 + 0.5 - 0.5 * np.sqrt(seventh / (seventh + SEVENTH))
        a1, a2 = a1 * stretch, a2 * stretch
        c1, c2 = np.sqrt(a1 * a1 + b1 * b1), np.sqrt(a2 * a2 + b2 * b2)
        both = c1 * c2
        grey = both == 0.0
        # Hues: those of grey are 0, and the mean is the other's.
        inverse1, inverse2 = 1.0 / (c1 if c1 > 0.0 else 1.0), 1.0 / (c2 if c2 > 0.0 else 1.0)
        u1, v1, u2, v2 = a1 * inverse1, b1 * inverse1, a2 * inverse2, b2 * inverse2
        dot, cross = a1 * a2 + b1 * b2, a1 * b2 - a2 * b1
        onward = (cross > 0.0) | ((cross == 0.0) & ((b1 > 0.0) | ((b1 == 0.0) & (a1 > 0.0))))
        side = 1.0 if onward else -1.0
        opposite = dot < 0.0
        x = side * (v2 - v1) if opposite else u1 + u2
        y = side * (u1 - u2) if opposite else v1 + v2
        length = np.sqrt(x * x + y * y)
        somewhere = length > 0.0
        over = 1.0 / (length if somewhere else 1.0)
        x, y = (x * over if somewhere else 1.0), y * over
        # 2 √(c1 c2) sin(Δh / 2), from the cosine where it is far and from the sine where it is near.
        far = side * np.sqrt(2.0 * max(both - dot, 0.0))
        below = 2.0 * (both + dot)
        near = 2.0 * cross / np.sqrt(below if below > 0.0 else 1.0)
        d_hue = 0.0 if grey else (far if opposite else near)
        # Cosines and sines of 2, 3 and 4 times the mean hue.
        x2, y2 = x * x - y * y, 2.0 * x * y
        x3, y3 = x2 * x - y2 * y, y2 * x + x2 * y
        x4, y4 = x2 * x2 - y2 * y2, 2.0 * x2 * y2
        weight = (
            1.0
            - 0.17 * (x * COS30 + y * SIN30)
            + 0.24 * x2
            + 0.32 * (x3 * COS6 - y3 * SIN6)
            - 0.20 * (x4 * COS63 + y4 * SIN63)
        )
        distance = 0.5 * (1.0 - (x * COS275 + y * SIN275))
        q = max(min(distance, FARTHEST), 0.0)
        z = ARC[12] + q * (ARC[13] + q * ARC[14])
        z = ARC[9] + q * (ARC[10] + q * (ARC[11] + q * z))
        z = ARC[6] + q * (ARC[7] + q * (ARC[8] + q * z))
        z = ARC[3] + q * (ARC[4] + q * (ARC[5] + q * z))
        z = q * (ARC[0] + q * (ARC[1] + q * (ARC[2] + q * z))) * SPREAD64
        # exp(-64 z), as the 64th power of a series that is short for small values.
        e = (1 / 720) - z * ((1 / 5040) - z * ((1 / 40320) - z * (1 / 362880)))
        e = 1.0 - z * (1.0 - z * ((1 / 2) - z * ((1 / 6) - z * ((1 / 24) - z * ((1 / 120) - z * e)))))
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        # Mean hues run from 0° to 360°: those from 0° on are 275° away, not 85°.
        turn = 0.0 if (distance >= FARTHEST) | ((x > 0) & (y >= 0)) else TURN * e
        s = turn * turn
        sine = turn * (
            1.0 - s * ((1 / 6) - s * ((1 / 120) - s * ((1 / 5040) - s * ((1 / 362880) - s * (1 / 39916800)))))
        )
        chroma = 0.5 * (c1 + c2)
        seventh = chroma * chroma * chroma
        seventh = seventh * seventh * chroma
        rotation = -2.0 * np.sqrt(seventh / (seventh + SEVENTH)) * sine
        light = 0.5 * (l1 + l2) - 50.0
        light = light * light
        d_light = (l2 - l1) / (1.0 + 0.015 * light / np.sqrt(20.0 + light))
        d_chroma = (c2 - c1) / (1.0 + 0.045 * chroma)
        d_hue = d_hue / (1.0 + 0.015 * chroma * weight)
        squared = d_light * d_light + d_chroma * d_chroma + d_hue * d_hue + rotation * d_chroma * d_hue
        out[c] = np.sqrt(max(squared, 0.0))
