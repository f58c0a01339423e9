"""A codec that is one file, for tests of plugins without packaging."""

from __future__ import annotations

RAW = (
    "import numpy as np\n"
    "from qbench.plugin import Codec, Image\n"
    "class Mine(Codec):\n"
    "    def encode(self, image):\n"
    "        return np.array(image.pixels.shape, '>u2').tobytes() + image.pixels.tobytes()\n"
    "    def decode(self, bitstream):\n"
    "        shape = np.frombuffer(bitstream[:6], '>u2')\n"
    "        return Image(np.frombuffer(bitstream[6:], np.uint8).reshape(shape).copy())\n"
)
"""Its bitstream is the samples, behind their shape."""
