"""The Kodak Lossless True Color Image Suite."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from qbench.plugin import Dataset, DatasetError, FetchProgress, ImageError, ImageFile, ImageSource, read_image
from qbench.toolkit.downloads import DownloadError, download

COUNT = 24
SIZES = {(768, 512), (512, 768)}


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
        return [ImageFile(path) for path in paths]

    def fetch(self, home: Path, progress: FetchProgress) -> None:
        """Fetch what is missing, and check that each is a photograph of Kodak's size."""
        home.mkdir(parents=True, exist_ok=True)
        address = os.environ.get("QBENCH_KODAK_URL", self.source)
        for number in range(1, COUNT + 1):
            path = home / _file(number)
            progress(number - 1, COUNT, path.name)
            if not path.is_file():
                _fetch(address + path.name, path)
        progress(COUNT, COUNT, "")


def _file(number: int) -> str:
    return f"kodim{number:02d}.png"


def _fetch(address: str, path: Path) -> None:
    partial = path.with_name(f".part-{path.name}")
    try:
        download(address, partial)
        image = read_image(partial)
        if (image.width, image.height) not in SIZES:
            raise ImageError(f"{address} is {image.width}×{image.height}, not 768×512 or 512×768")
        partial.replace(path)
    except ImageError as error:
        partial.unlink()
        raise DatasetError(f"dataset `kodak`: what {address} gave is no photograph of Kodak's: {error}") from error
    except (DownloadError, OSError) as error:
        raise DatasetError(f"dataset `kodak`: {error}") from error
