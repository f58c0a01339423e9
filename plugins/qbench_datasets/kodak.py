"""The Kodak Lossless True Color Image Suite."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qbench.plugin import Dataset, DatasetError, FetchProgress, Image, ImageError, ImageFile, ImageSource, read_image
from qbench.toolkit.downloads import DownloadError, download

COUNT = 24
DIGESTS = (
    "f3f0309aa82da62830b5baa1c6222cd0263529e2f52dc538752204ef34e3e6ee",
    "efb3a142b9fd1213659057e60a23bdc9cb941629196c61d8cd587bb704092a5c",
    "f382c9f19db1032ddea11365b2f78e23ab255e1841435ef615c5c0bb7954cc0d",
    "e8bc6d66578eedbed6d8478a5ed004e63bb3801d1e60b26a531877da77c3f2ba",
    "e0ca3db383cb31b2e890665e09c0399b0a84d4a7d106692fb8c35517aafc4cb8",
    "59d983a73c75219e39793ad3cbbd55da25dc968a344aeb077b9b5c0b000d70f7",
    "913a2babd7ba1bc89216c7664f10f505b2313e81e113b2b2d95190f09a12669c",
    "787d712e7dd5332bf201eeef24c590b409e19e1802bb7de293ded84a63768b7b",
    "711cfad450f4c0032fb007bea531f721dedd8caab9d494d01fa37b9f7b104cbf",
    "8536a6eff5385ff17124514ddbef225460211ece8bc967a13f9127bef13f53cb",
    "a63d9315d4c9fbdecaa9cf95ea6c481a0e3472e8ab3c8b7afa174b876b90bade",
    "dfd9eff8cb44974bcbea9acfe03eef3d68c059fad876679913b0a781c6dc8f71",
    "fa612a130b13e5a250e58df0810dc7ef249087f7e0c13c62102aa961fa1037c7",
    "88dc670efb9ef12a5a75f0b6781f840912d738d434bf7933a10c9f66c3bf68f1",
    "55e07516f03ccc4c1254db958a818dd8c87ba3f3919fbbb4d00b2db3cfe85542",
    "46f26938118cc23081c49f2a92b22cd2a3271acea38a1aba80cc98940b8e2b01",
    "b59939091397b95494c77b73bc62cfef45df645da851adaf77d72f5496c60eb9",
    "6cfe860b5f410d67239f77141b17228341f2d5640d235844c5b128c700d63647",
    "be1ad9833b5eb9dadb8ee9e1c6c5747fa4da991d78275434b198b461d2b5e00f",
    "65a7dc4950dffc7b1c3a4caa4a7c86727b8daba72788bbb338a4cdfa32a23d78",
    "cb12e2a4186d58f12d22e9e91dc027fbf07c760066da2bdcb5ddcfc30c9ae8e7",
    "7aa6307b6d32ebdae6be7fafe2e70902f63f50b3afebcf1da777f7b8f40beb40",
    "84278e4abfd7eb4a9c0170f2ca7cf8ab954bb7c7793eae4253a0aa64a9d15146",
    "3fa80499f14cf6d98cb9877fc59008d693f7a1396e1a7c0f512535bfd6b391df",
)
"""SHA-256 of each photograph's pixels, as :attr:`qbench.plugin.Image.digest` gives it."""


@dataclass(frozen=True)
class Photograph(ImageFile):
    """One of the photographs, which is no other.

    Attributes:
        digest: of its pixels.
    """

    digest: str = ""

    def read(self) -> Image:
        """Read the file.

        Raises:
            ImageError: it can't be read, or is another picture.
        """
        image = super().read()
        if image.digest != self.digest:
            raise ImageError(f"{self.path}: the pixels differ from Kodak's {self.path.name}; fetch it anew")
        return image


class Kodak(Dataset):
    """24 photographs of 768×512 (or 512×768), scanned from film; the field's most used test set."""

    name = "kodak"
    summary = "Kodak's 24 photographs, 768×512; downloaded on request"
    count = COUNT
    licence = "released by Eastman Kodak for unrestricted use"
    source = "https://r0k.us/graphics/kodak/kodak/"

    def images(self, home: Path) -> Sequence[ImageSource]:
        """List the photographs that were fetched."""
        paths = [home / _file(number) for number in range(1, COUNT + 1)]
        missing = [path for path in paths if not path.is_file()]
        if missing:
            raise DatasetError(
                f"dataset `kodak`: {len(missing)} of its {COUNT} images are missing in {home}; "
                "fetch them with: qbench datasets pull kodak"
            )
        return [Photograph(path, digest=digest) for path, digest in zip(paths, DIGESTS, strict=True)]

    def fetch(self, home: Path, progress: FetchProgress) -> None:
        """Fetch what is missing, and check that each has the photograph's pixels."""
        home.mkdir(parents=True, exist_ok=True)
        address = os.environ.get("QBENCH_KODAK_URL", self.source)
        for number in range(1, COUNT + 1):
            path = home / _file(number)
            progress(number - 1, COUNT, path.name)
            if not path.is_file():
                _fetch(address + path.name, path, DIGESTS[number - 1])
        progress(COUNT, COUNT, "")


def _file(number: int) -> str:
    return f"kodim{number:02d}.png"


def _fetch(address: str, path: Path, digest: str) -> None:
    partial = path.with_name(f".part-{path.name}")
    try:
        download(address, partial)
        if read_image(partial).digest != digest:
            raise ImageError(f"{address}: these are not its pixels")
        partial.replace(path)
    except ImageError as error:
        partial.unlink()
        raise DatasetError(f"dataset `kodak`: what {address} gave is not Kodak's {path.name}: {error}") from error
    except (DownloadError, OSError) as error:
        raise DatasetError(f"dataset `kodak`: {error}") from error
