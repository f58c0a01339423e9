"""The table of formats: what is documented, sniffed, and never tried."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import sample_pixels
from PIL import Image

from qbench.errors import ImageError
from qbench.images.formats import FORMATS
from qbench.images.reading import read_image

ROOT = Path(__file__).parents[2]


def test_the_documented_table_is_the_one_in_the_code():
    text = (ROOT / "docs/suites.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \| ((?:`\.\w+` ?)+)\| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    expected = [(form.name, form.suffixes, form.depths, form.colours) for form in FORMATS]
    assert [(name, tuple(re.findall(r"\.\w+", suffixes)), *rest) for name, suffixes, *rest in rows] == expected


def test_a_file_is_known_by_how_it_begins_not_by_its_name(tmp_path):
    Image.fromarray(sample_pixels(8, 8)).save(tmp_path / "a.png")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.png").read_bytes())
    assert read_image(tmp_path / "a.jpg").equals(read_image(tmp_path / "a.png"))


@pytest.mark.parametrize("kind", ["EPS", "TGA", "PCX", "SGI", "ICO", "DDS", "PDF"])
def test_other_formats_are_never_tried(tmp_path, kind, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    path = tmp_path / "a.png"
    Image.fromarray(sample_pixels(16, 16)).save(path, kind)
    with pytest.raises(ImageError, match=r"a\.png: not an image in a supported format"):
        read_image(path)


def test_the_limit_of_pixels_can_be_moved(tmp_path, monkeypatch):
    Image.fromarray(sample_pixels(20, 10)).save(tmp_path / "a.png")
    Image.fromarray(sample_pixels(20, 10)).save(tmp_path / "a.jpg")
    monkeypatch.setenv("QBENCH_MAX_PIXELS", "199")
    for name in ("a.png", "a.jpg"):
        with pytest.raises(ImageError, match=r"refused: 20×10 are 200 pixels, more than 199; set QBENCH_MAX_PIXELS"):
            read_image(tmp_path / name)
    monkeypatch.setenv("QBENCH_MAX_PIXELS", "many")
    with pytest.raises(ImageError, match=r"QBENCH_MAX_PIXELS is `many`; accepted: a number of pixels"):
        read_image(tmp_path / "a.png")
    monkeypatch.setenv("QBENCH_MAX_PIXELS", "200")
    assert read_image(tmp_path / "a.png").width == 20
