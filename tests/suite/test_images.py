from __future__ import annotations

from pathlib import Path

import pytest
from conftest import sample_pixels
from PIL import Image

from qbench.errors import DatasetError, ImageError
from qbench.suite.images import resolve_images
from qbench.suite.load import load_suite


def resolve(registry, *entries):
    suite = {"images": list(entries), "codecs": {"png": None}, "metrics": ["bpp"]}
    return resolve_images(load_suite(suite, registry), registry)


def test_a_folder_gives_its_images_by_name(photos, registry):
    (photos / "notes.txt").write_text("not an image")
    (photos / "deeper").mkdir()
    images = resolve(registry, {"folder": str(photos)})
    assert [(image.name, image.width, image.height) for image in images] == [
        ("p0", 64, 48),
        ("p1", 51, 37),
        ("p2", 80, 60),
    ]


def test_a_glob_and_a_list_and_a_limit(photos, registry):
    assert [image.name for image in resolve(registry, {"glob": f"{photos}/*1.png"})] == ["p1"]
    assert [image.name for image in resolve(registry, {"folder": str(photos), "limit": 2})] == ["p0", "p1"]
    files = [str(photos / "p2.png"), str(photos / "p0.png")]
    assert [image.name for image in resolve(registry, {"files": files})] == ["p2", "p0"]


def test_relative_paths_are_relative_to_the_suite(photos, registry):
    suite = photos.parent / "s.yaml"
    suite.write_text("images: [{folder: photos}]\ncodecs: {png: }\nmetrics: [bpp]\n")
    assert len(resolve_images(load_suite(suite, registry), registry)) == 3


def test_a_dataset_gives_its_images(registry):
    images = resolve(registry, {"dataset": "samples"})
    assert [image.name for image in images] == ["face", "animal", "logo", "tower"]
    assert {image.dataset for image in images} == {"samples"}


def test_same_names_are_told_apart_by_their_paths(photos, registry):
    other = photos.parent / "other"
    other.mkdir()
    Image.fromarray(sample_pixels(20, 20)).save(other / "p0.png")
    Image.fromarray(sample_pixels(20, 20)).save(other / "p1.jpg")
    names = [image.name for image in resolve(registry, {"folder": str(photos)}, {"folder": str(other)})]
    assert names == ["photos/p0.png", "p1.png", "p2", "other/p0.png", "p1.jpg"]


def test_the_same_file_twice_is_refused(photos, registry):
    with pytest.raises(ImageError, match="duplicated"):
        resolve(registry, {"folder": str(photos)}, {"files": [str(photos / "p0.png")]})


def test_missing_and_empty_folders_are_named(tmp_path, registry):
    with pytest.raises(ImageError, match="no such folder"):
        resolve(registry, {"folder": str(tmp_path / "nowhere")})
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("")
    with pytest.raises(ImageError, match=r"no images found \(1 files seen; accepted: files ending in \.png"):
        resolve(registry, {"folder": str(tmp_path / "empty")})
    with pytest.raises(ImageError, match="no images found"):
        resolve(registry, {"glob": str(tmp_path / "*.nothing")})


def test_every_unreadable_image_is_listed(photos, registry):
    (photos / "p0.png").write_bytes(b"not an image")
    whole = (photos / "p1.png").read_bytes()
    (photos / "p1.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError) as caught:
        resolve(registry, {"folder": str(photos)}, {"files": [str(Path("gone.png"))]})
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "p0.png: not an image" in lines[0]
    assert "p1.png: damaged or truncated image" in lines[1]
    assert "gone.png: can't read the image" in lines[2]


def test_a_dataset_that_is_not_there_names_the_command(registry):
    with pytest.raises(DatasetError, match="qbench datasets pull kodak"):
        resolve(registry, {"dataset": "kodak"})
