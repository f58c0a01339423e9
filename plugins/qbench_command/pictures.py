"""Files that images are handed to programs in, and read back from: PNG, PPM, YUV4MPEG2."""

from __future__ import annotations

import re
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt

from qbench.plugin import Image, PluginError, read_image

FORMATS = ("png", "ppm", "y4m")
Y4M = re.compile(rb"YUV4MPEG2((?: [^\n]*)?)\n")
KR, KB = 0.2126, 0.0722
"""Of luma in ITU-R BT.709."""


def write_picture(path: Path, image: Image, form: str) -> None:
    """Write an image as PNG, PPM (P6) or YUV4MPEG2 (8 bits, 4:4:4, BT.709, limited range)."""
    if form == "png":
        path.write_bytes(imagecodecs.png_encode(image.pixels, level=1))
    elif form == "ppm":
        path.write_bytes(f"P6\n{image.width} {image.height}\n255\n".encode() + image.pixels.tobytes())
    else:
        header = f"YUV4MPEG2 W{image.width} H{image.height} F1:1 Ip A1:1 C444 XCOLORRANGE=LIMITED\nFRAME\n"
        path.write_bytes(header.encode() + to_planes(image.pixels).tobytes())


def read_picture(path: Path, form: str) -> Image:
    """Read an image that a program wrote.

    Raises:
        ImageError, PluginError: it is damaged, or of another kind.
    """
    if form != "y4m":
        return Image(read_image(path).pixels)
    data = path.read_bytes()
    header = Y4M.match(data)
    fields = {field[:1]: field[1:] for field in (header[1].split() if header else [])}
    if header is None or not {b"W", b"H"} <= fields.keys():
        raise PluginError(f"{path.name}: no YUV4MPEG2 file")
    if fields.get(b"C", b"420") != b"444":
        raise PluginError(f"{path.name}: chroma {fields.get(b'C', b'420').decode()}; accepted is 444, 8 bits")
    width, height = int(fields[b"W"]), int(fields[b"H"])
    start = data.find(b"\n", header.end()) + 1
    size = 3 * width * height
    if not (start and size) or len(data) - start < size:
        raise PluginError(f"{path.name}: ends within its first frame")
    planes = np.frombuffer(data, np.uint8, size, start)
    return Image(from_planes(planes.reshape(3, height, width)))


def to_planes(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return Y, Cb and Cr of RGB by ITU-R BT.709 in limited range, rounded: 3×H×W of H×W×3."""
    red, green, blue = (pixels[:, :, channel].astype(np.float64) / 255 for channel in range(3))
    luma = KR * red + (1 - KR - KB) * green + KB * blue
    planes = [16 + 219 * luma, 128 + 112 * (blue - luma) / (1 - KB), 128 + 112 * (red - luma) / (1 - KR)]
    return np.clip(np.rint(planes), 0, 255).astype(np.uint8)


def from_planes(planes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return RGB of Y, Cb and Cr, H×W×3 of 3×H×W."""
    luma = (planes[0].astype(np.float64) - 16) / 219
    blue = luma + (planes[1].astype(np.float64) - 128) / 112 * (1 - KB)
    red = luma + (planes[2].astype(np.float64) - 128) / 112 * (1 - KR)
    green = (luma - KR * red - KB * blue) / (1 - KR - KB)
    return np.clip(np.rint(255 * np.stack([red, green, blue], axis=2)), 0, 255).astype(np.uint8)
