"""CIE L*a*b* and ΔE00 of rows of pixels, in float32.

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
MATRIX = (np.array(TO_XYZ) / np.array(WHITE)[:, None]).astype(np.float32)

F = np.float32
ZERO, HALF, ONE, TWO = F(0), F(0.5), F(1), F(2)
COS30, SIN30 = F(math.cos(math.radians(30))), F(0.5)
COS6, SIN6 = F(math.cos(math.radians(6))), F(math.sin(math.radians(6)))
COS63, SIN63 = F(math.cos(math.radians(63))), F(math.sin(math.radians(63)))
COS275, SIN275 = F(math.cos(math.radians(275))), F(math.sin(math.radians(275)))
W1, W2, W3, W4 = F(0.17), F(0.24), F(0.32), F(0.20)
"""Weights of the hue's multiples in T."""
FARTHEST = F(0.6)
"""(1 - cos δ) / 2 beyond which exp(-(δ / 25°)²) is nothing: at 101°."""
A0, A1, A2, A3, A4, A5, A6, A7, A8 = (
    F(each)
    for each in (
        *(4.00000063, 1.33324269, 0.71428744, 0.41044833, 0.67792211),
        *(-1.24793093, 3.80883577, -4.58116764, 2.86904999),
    )
)
"""Of δ² / q in powers of q = (1 - cos δ) / 2, up to FARTHEST: within 6e-7, by least squares at Chebyshev's points."""
SPREAD64 = F(1 / 64 / math.radians(25) ** 2)
TURN = F(math.radians(60))
SEVENTH = F(25.0**7)
THIRD, GUESS = F(1 / 3), F(709921077.0)
"""A float's bits as an integer, over 3, plus this: its cube root within 4 %."""
EPSILON, SLOPE, OFFSET = F(0.008856), F(7.787), F(16 / 116)
L1, L0, A_SCALE, B_SCALE = F(116), F(16), F(500), F(200)
FIFTY, TWENTY, KL, KC = F(50), F(20), F(0.015), F(0.045)
E2, E3, E4, E5, E6 = (F(1 / math.factorial(n)) for n in range(2, 7))
S3, S5, S7, S9 = (F(1 / math.factorial(n)) for n in (3, 5, 7, 9))


@kernel
def to_lab(pixels: Plane, linear: Plane, matrix: Plane, lab: Plane) -> None:
    """Take sRGB to CIE L*a*b*.

    Args:
        pixels: H×W×3, uint8.
        linear: what each of the 256 values is in linear light.
        matrix: from linear light to XYZ over the white point's.
        lab: 3×H×W, float32, written to.
    """
    height, width, _ = pixels.shape
    light = np.empty((3, width), np.float32)
    xyz = np.empty((3, width), np.float32)
    guess = np.empty(width, np.int32)
    root = guess.view(np.float32)
    for r in range(height):
        row = pixels[r]
        for c in range(width):
            for k in range(3):
                light[k, c] = linear[row[c, k]]
        for k in range(3):
            red, green, blue = matrix[k, 0], matrix[k, 1], matrix[k, 2]
            out = xyz[k]
            bits = out.view(np.int32)
            for c in range(width):
                out[c] = red * light[0, c] + green * light[1, c] + blue * light[2, c]
            for c in range(width):
                guess[c] = np.int32(np.float32(bits[c]) * THIRD + GUESS)
            for _ in range(2):  # Halley's iteration, which triples the digits
                for c in range(width):
                    value, cube = out[c], root[c] * root[c] * root[c]
                    root[c] *= (cube + value + value) / (cube + cube + value)
            for c in range(width):
                value = out[c]
                out[c] = root[c] if value > EPSILON else SLOPE * value + OFFSET
        for c in range(width):
            x, y, z = xyz[0, c], xyz[1, c], xyz[2, c]
            lab[0, r, c] = L1 * y - L0
            lab[1, r, c] = A_SCALE * (x - y)
            lab[2, r, c] = B_SCALE * (y - z)


@kernel
def delta_e00(one: Plane, other: Plane, found: Plane) -> None:
    """Write ΔE00, by the equations (2) to (22) of Sharma et al. 2005.

    Args:
        one: L*a*b*, 3×H×W, float32.
        other: likewise.
        found: H×W, float32, written to.
    """
    for r in range(found.shape[0]):
        _row(one[0, r], one[1, r], one[2, r], other[0, r], other[1, r], other[2, r], found[r])


@kernel
def _row(light1: Plane, red1: Plane, blue1: Plane, light2: Plane, red2: Plane, blue2: Plane, out: Plane) -> None:
    for c in range(out.size):
        l1, a1, b1, l2, a2, b2 = light1[c], red1[c], blue1[c], light2[c], red2[c], blue2[c]
        mean = HALF * (np.sqrt(a1 * a1 + b1 * b1) + np.sqrt(a2 * a2 + b2 * b2))
        seventh = mean * mean * mean
        seventh = seventh * seventh * mean
        stretch = ONE + HALF - HALF * np.sqrt(seventh / (seventh + SEVENTH))
        a1, a2 = a1 * stretch, a2 * stretch
        c1, c2 = np.sqrt(a1 * a1 + b1 * b1), np.sqrt(a2 * a2 + b2 * b2)
        both = c1 * c2
        grey = both == ZERO
        # Hues: those of grey are 0, and the mean is the other's.
        inverse1, inverse2 = ONE / (c1 if c1 > ZERO else ONE), ONE / (c2 if c2 > ZERO else ONE)
        u1, v1, u2, v2 = a1 * inverse1, b1 * inverse1, a2 * inverse2, b2 * inverse2
        dot, cross = a1 * a2 + b1 * b2, a1 * b2 - a2 * b1
        onward = (cross > ZERO) | ((cross == ZERO) & ((b1 > ZERO) | ((b1 == ZERO) & (a1 > ZERO))))
        side = ONE if onward else -ONE
        opposite = dot < ZERO
        x = side * (v2 - v1) if opposite else u1 + u2
        y = side * (u1 - u2) if opposite else v1 + v2
        length = np.sqrt(x * x + y * y)
        somewhere = length > ZERO
        over = ONE / (length if somewhere else ONE)
        x, y = (x * over if somewhere else ONE), y * over
        # 2 √(c1 c2) sin(Δh / 2), from the cosine where it is far and from the sine where it is near.
        far = side * np.sqrt(TWO * max(both - dot, ZERO))
        below = TWO * (both + dot)
        near = TWO * cross / np.sqrt(below if below > ZERO else ONE)
        d_hue = ZERO if grey else (far if opposite else near)
        # Cosines and sines of 2, 3 and 4 times the mean hue.
        x2, y2 = x * x - y * y, TWO * x * y
        x3, y3 = x2 * x - y2 * y, y2 * x + x2 * y
        x4, y4 = x2 * x2 - y2 * y2, TWO * x2 * y2
        weight = (
            ONE - W1 * (x * COS30 + y * SIN30) + W2 * x2 + W3 * (x3 * COS6 - y3 * SIN6) - W4 * (x4 * COS63 + y4 * SIN63)
        )
        q = min(HALF * (ONE - (x * COS275 + y * SIN275)), FARTHEST)
        q = max(q, ZERO)
        z = A7 + q * A8
        z = A5 + q * (A6 + q * z)
        z = A3 + q * (A4 + q * z)
        z = A1 + q * (A2 + q * z)
        z = q * (A0 + q * z) * SPREAD64
        # exp(-64 z), as the 64th power of a series that is short for small values.
        e = ONE - z * (ONE - z * (E2 - z * (E3 - z * (E4 - z * (E5 - z * E6)))))
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        turn = TURN * e
        s = turn * turn
        sine = turn * (ONE - s * (S3 - s * (S5 - s * (S7 - s * S9))))
        chroma = HALF * (c1 + c2)
        seventh = chroma * chroma * chroma
        seventh = seventh * seventh * chroma
        rotation = -TWO * np.sqrt(seventh / (seventh + SEVENTH)) * sine
        light = HALF * (l1 + l2) - FIFTY
        light = light * light
        d_light = (l2 - l1) / (ONE + KL * light / np.sqrt(TWENTY + light))
        d_chroma = (c2 - c1) / (ONE + KC * chroma)
        d_hue = d_hue / (ONE + KL * chroma * weight)
        squared = d_light * d_light + d_chroma * d_chroma + d_hue * d_hue + rotation * d_chroma * d_hue
        out[c] = np.sqrt(max(squared, ZERO))
