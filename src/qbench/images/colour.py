"""Colours of any description become sRGB (IEC 61966-2-1), at the depth of their samples."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qbench.errors import ImageError
from qbench.images.decoded import (
    CodePoints,
    CurvesAndPrimaries,
    Decoded,
    GammaAndPrimaries,
    IccProfile,
    Model,
    require_described,
)

SIGNATURES = {"grey": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}
"""Colour models in the header of an ICC profile."""
Floats = npt.NDArray[np.float64]

DEEP = 65_535
SAME = DEEP / 255
"""How far a profile may move 16-bit samples and still be sRGB: one level of 8 bits, as rounded tables of sRGB do."""
ROWS_TOGETHER = 2**20
"""Pixels whose colours are converted at a time, as that takes floating-point numbers."""

BT709 = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
PRIMARIES = {
    1: BT709,
    2: BT709,  # unspecified
    4: (0.310, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (0.3127, 0.3290, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (0.3127, 0.3290, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (0.310, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (0.3127, 0.3290, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
"""ITU-T H.273, table 2: x and y of white, red, green and blue."""
NAMES = {5: "BT.601 (625 lines)", 6: "BT.601 (525 lines)", 9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}

BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def to_srgb(decoded: Decoded) -> list[str]:
    """Convert samples to sRGB in place, and return notes of what was changed.

    Raises:
        ImageError: high dynamic range, or a transfer function that no conversion is agreed for.
    """
    colour = decoded.colour
    require_described(colour)
    decoded.colour = None
    if isinstance(colour, IccProfile):
        return _from_profile(decoded, colour.data)
    if decoded.model == "CMYK":
        ink, rest = decoded.samples[..., :3].astype(np.uint32), decoded.maximum
        light = (rest - ink) * (rest - decoded.samples[..., 3:].astype(np.uint32))
        decoded.samples = ((light + rest // 2) // rest).astype(decoded.samples.dtype)
        decoded.model = "RGB"
        return ["CMYK converted to RGB"]
    if colour is None:
        return []
    return _from_primaries(decoded, colour)


# -- ICC profiles -------------------------------------------------------------------------------------------------


def _from_profile(decoded: Decoded, profile: bytes) -> list[str]:
    model: Model = decoded.model
    if model == "grey" and profile[16:20] == b"RGB ":
        model = "RGB"  # grey, described as equal parts of red, green and blue
    unusable = "unusable ICC profile ignored"
    if SIGNATURES[model] != profile[16:20]:
        return [*to_srgb(decoded), unusable]
    try:
        if _is_srgb(profile, model):
            return []
        deep = rescaled(decoded.samples, decoded.maximum, DEEP)
        if deep.shape[2] == 1 and model == "RGB":
            deep = np.repeat(deep, 3, axis=2)
        converted = _transformed(deep, profile, model)
    except (RuntimeError, ValueError):  # CmsError is a RuntimeError
        return [*to_srgb(decoded), unusable]
    _deepen(decoded, converted)
    decoded.model = "RGB"
    return [f"ICC profile “{_profile_name(profile)}” converted to sRGB"]


def is_usable(profile: bytes, model: Model) -> bool:
    """Whether a profile describes such colours, so that they can be converted."""
    if model == "grey" and profile[16:20] == b"RGB ":
        model = "RGB"
    try:
        if SIGNATURES[model] == profile[16:20]:
            _transformed(np.zeros((1, 1, {"grey": 1, "RGB": 3, "CMYK": 4}[model]), np.uint16), profile, model)
            return True
    except (RuntimeError, ValueError):
        pass
    return False


@functools.lru_cache(maxsize=16)
def _is_srgb(profile: bytes, model: Model) -> bool:
    """Whether a profile leaves colours where they are: told by what it does, as its name may say anything."""
    if model == "CMYK":
        return False
    if model == "grey":
        ramp = np.arange(0, DEEP + 1, 257).astype(np.uint16).reshape(1, -1, 1)
        probe, expected = ramp, np.repeat(ramp, 3, axis=2)
    else:
        axis = np.linspace(0, DEEP, 17).round().astype(np.uint16)
        cube = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(1, -1, 3)
        ramp = np.repeat(np.arange(0, DEEP + 1, 257).astype(np.uint16).reshape(1, -1, 1), 3, axis=2)
        probe = expected = np.concatenate([cube, ramp], axis=1)
    moved = np.abs(_transformed(probe, profile, model).astype(np.int64) - expected)
    return bool(moved.max() <= SAME)


def _transformed(deep: npt.NDArray[np.uint16], profile: bytes, model: Model) -> npt.NDArray[np.uint16]:
    import imagecodecs

    intent = int.from_bytes(profile[64:68], "big")
    spaces = {"grey": "gray", "RGB": "rgb", "CMYK": "cmyk"}
    result: npt.NDArray[np.uint16] = imagecodecs.cms_transform(
        np.ascontiguousarray(deep[..., 0] if model == "grey" else deep),
        profile,
        _srgb_profile(),
        colorspace=spaces[model],
        outcolorspace="rgb",
        outdtype="uint16",
        intent=intent if intent in (0, 1, 2, 3) else 1,
        flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,  # its optimised tables are ten levels off for dark linear grey
    )
    return result


@functools.cache
def _srgb_profile() -> bytes:
    from PIL import ImageCms

    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def _profile_name(profile: bytes) -> str:
    from PIL import ImageCms

    try:
        return str(ImageCms.getProfileDescription(io.BytesIO(profile))).strip()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "without a name"


# -- primaries and transfer functions -----------------------------------------------------------------------------


def _from_primaries(decoded: Decoded, colour: CodePoints | GammaAndPrimaries | CurvesAndPrimaries) -> list[str]:
    described = _described(colour, decoded.maximum)
    if described is None:
        return []
    chromaticities, light, note = described
    notes, matrix = [], None
    if not _same_primaries(chromaticities):
        assert chromaticities is not None
        matrix = _between(chromaticities)
        if matrix is None:
            notes.append("unusable chromaticities ignored")
            note = note.removesuffix(OWN_PRIMARIES).removesuffix(" and ")
    steps = np.linspace(0, 255, decoded.maximum + 1)[:, None]
    if matrix is None and np.abs(_from_light(light) * 255 - steps).max() < 0.5:
        return notes
    samples = np.minimum(decoded.samples, decoded.maximum)
    if samples.shape[2] == 1 and (matrix is not None or light.shape[1] == 3):
        samples, decoded.model = np.repeat(samples, 3, axis=2), "RGB"
    converted = np.empty(samples.shape, np.uint16)
    if matrix is None:  # each sample on its own
        table = np.rint(_from_light(light) * DEEP).astype(np.uint16)
        for channel in range(samples.shape[2]):
            converted[..., channel] = table[:, channel % light.shape[1]][samples[..., channel]]
    else:
        rows = max(1, ROWS_TOGETHER // samples.shape[1])
        for top in range(0, samples.shape[0], rows):
            part = samples[top : top + rows]
            linear = np.stack([light[:, each % light.shape[1]][part[..., each]] for each in range(3)], axis=-1)
            converted[top : top + rows] = np.rint(_from_light((linear @ matrix.T).clip(0, 1)) * DEEP)
    _deepen(decoded, converted)
    return [*notes, f"{note} converted to sRGB"]


def _between(chromaticities: Sequence[float]) -> Floats | None:
    """Return the matrix from linear RGB of these chromaticities to that of sRGB; None if they span no colours."""
    if min(chromaticities[1::2]) <= 0:
        return None
    try:
        matrix: Floats = np.linalg.inv(_to_xyz(BT709)) @ _adapted(chromaticities) @ _to_xyz(chromaticities)
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    return matrix if np.isfinite(matrix).all() and np.abs(matrix).max() < 100 else None


def _same_primaries(chromaticities: Sequence[float] | None) -> bool:
    return chromaticities is None or np.allclose(chromaticities, BT709, atol=2e-3)


OWN_PRIMARIES = "primaries of its own"


def _described(
    colour: CodePoints | GammaAndPrimaries | CurvesAndPrimaries, maximum: int
) -> tuple[tuple[float, ...] | None, Floats, str] | None:
    """Return chromaticities, the light of every sample (shape (maximum + 1)×1 or ×3), and a name; None for sRGB."""
    values = (np.arange(maximum + 1) / maximum)[:, None]
    if isinstance(colour, CurvesAndPrimaries):
        own = [] if _same_primaries(colour.chromaticities) else [OWN_PRIMARIES]
        if colour.light is None:
            return colour.chromaticities, _srgb_to_light(values), "".join(own)
        if not own and np.abs(colour.light - values**2.2).max() < 2e-3:
            return None  # TIFF's default, which is taken for sRGB as PNG's is
        return colour.chromaticities, colour.light, " and ".join(["transfer function of its own", *own])
    if isinstance(colour, GammaAndPrimaries):
        gamma, chromaticities = colour.gamma, colour.chromaticities
        same = _same_primaries(chromaticities)
        if gamma is not None and abs(gamma - 1 / 2.2) < 5e-4 and same:
            return None  # as PNG's third edition says in 11.3.2.2
        light = _srgb_to_light(values) if gamma is None else values ** (1 / gamma)
        if colour.name:
            return chromaticities, light, colour.name
        parts = [f"gamma {gamma:.5g}"] if gamma is not None else []
        return chromaticities, light, " and ".join([*parts, *([] if same else [OWN_PRIMARIES])])
    if colour.primaries not in PRIMARIES or colour.transfer not in TRANSFERS:
        raise ImageError(
            f"colours of code points {colour.primaries} (primaries) and {colour.transfer} (transfer function) of "
            "ITU-T H.273 can't be converted to sRGB; convert the file first"
        )
    name = NAMES.get(colour.primaries, f"primaries {colour.primaries}")
    if PRIMARIES[colour.primaries] == BT709:
        name = "sRGB primaries"
    transfer, to_light = TRANSFERS[colour.transfer]
    return PRIMARIES[colour.primaries], to_light(values), f"{name}, {transfer},"


def _to_xyz(chromaticities: Sequence[float]) -> Floats:
    """Return the matrix from linear RGB to XYZ (SMPTE RP 177)."""
    places = np.reshape(chromaticities, (4, 2))
    white, *primaries = np.column_stack([places, 1 - places.sum(axis=1)])
    columns: Floats = np.array(primaries).T
    scaled: Floats = columns * np.linalg.solve(columns, white / white[1])
    return scaled


def _adapted(chromaticities: Sequence[float]) -> Floats:
    """Return Bradford's adaptation from their white to sRGB's."""
    source, target = (BRADFORD @ np.array([x / y, 1, (1 - x - y) / y]) for x, y in (chromaticities[:2], BT709[:2]))
    adapted: Floats = np.linalg.inv(BRADFORD) @ np.diag(target / source) @ BRADFORD
    return adapted


def _srgb_to_light(values: Floats) -> Floats:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _from_light(light: Floats) -> Floats:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light.clip(1e-12) ** (1 / 2.4) - 0.055)


def _bt709_to_light(values: Floats) -> Floats:
    return np.where(
        values < 4.5 * 0.018053968510807, values / 4.5, ((values + 0.099296826809440) / 1.09929682680944) ** (1 / 0.45)
    )


def _smpte240_to_light(values: Floats) -> Floats:
    return np.where(values < 4 * 0.0228, values / 4, ((values + 0.1115) / 1.1115) ** (1 / 0.45))


TRANSFERS: dict[int, tuple[str, Callable[[Floats], Floats]]] = {
    1: ("BT.709 transfer function", _bt709_to_light),
    2: ("sRGB transfer function", _srgb_to_light),  # unspecified
    4: ("gamma 2.2", lambda values: values**2.2),
    5: ("gamma 2.8", lambda values: values**2.8),
    6: ("BT.601 transfer function", _bt709_to_light),
    7: ("SMPTE 240M transfer function", _smpte240_to_light),
    8: ("linear", lambda values: values),
    13: ("sRGB transfer function", _srgb_to_light),
    14: ("BT.2020 transfer function", _bt709_to_light),
    15: ("BT.2020 transfer function", _bt709_to_light),
}
"""ITU-T H.273, table 3: from samples to light, each the inverse of the function that is defined there."""


# -- YCbCr -------------------------------------------------------------------------------------------------------


def ycbcr_to_rgb(samples: npt.NDArray[Any], maximum: int) -> npt.NDArray[Any]:
    """Convert YCbCr of full range with the coefficients of ITU-R BT.601; rounded, of the same depth."""
    half = (maximum + 1) // 2
    y, cb, cr = (samples[..., each].astype(np.float64) for each in range(3))
    rgb = np.stack(
        [y + 1.402 * (cr - half), y - 0.344136 * (cb - half) - 0.714136 * (cr - half), y + 1.772 * (cb - half)],
        axis=-1,
    )
    converted: npt.NDArray[Any] = rgb.round().clip(0, maximum).astype(samples.dtype)
    return converted


# -- depth --------------------------------------------------------------------------------------------------------


def _deepen(decoded: Decoded, converted: npt.NDArray[np.uint16]) -> None:
    decoded.samples = converted
    if decoded.alpha is not None:
        decoded.alpha = rescaled(decoded.alpha, decoded.maximum, DEEP)
    decoded.maximum = DEEP


def rescaled(samples: npt.NDArray[Any], maximum: int, new: int) -> npt.NDArray[Any]:
    """Return samples whose white is ``new``, rounded to the nearest."""
    kind = np.uint8 if new <= 255 else np.uint16
    if maximum == new:
        return samples.astype(kind, copy=False)
    table = ((np.arange(maximum + 1, dtype=np.uint64) * 2 * new + maximum) // (2 * maximum)).astype(kind)
    scaled: npt.NDArray[Any] = table[np.minimum(samples, maximum)]
    return scaled
