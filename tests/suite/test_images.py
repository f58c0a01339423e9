from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import sample_pixels
from PIL import Image

import qbench
from qbench.errors import DatasetError, ImageError
from qbench.images.sources import ImageFile
from qbench.suite.images import _unique_names, resolve_images
from qbench.suite.load import load_suite


def resolve(registry, *entries):
    suite = {"images": list(entries), "codecs": {"png": None}, "metrics": ["bpp"]}
    return resolve_images(load_suite(suite, registry), registry).images


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
    assert len(resolve_images(load_suite(suite, registry), registry).images) == 3


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


def remarks(registry, *entries):
    suite = {"images": list(entries), "codecs": {"png": None}, "metrics": ["bpp"]}
    found = resolve_images(load_suite(suite, registry), registry)
    return [image.name for image in found.images], list(found.remarks)


def test_each_file_is_used_once_whichever_way_it_is_found(photos, registry):
    (photos / "loop").symlink_to(photos)
    (photos / "z.png").symlink_to(photos / "p1.png")
    again = {"files": [str(photos / ".." / "photos" / "p0.png")]}
    names, said = remarks(registry, {"glob": f"{photos}/**/*.png"}, again)
    assert [name.split("/")[-1].removesuffix(".png") for name in names] == ["p0", "p1", "p2"]
    assert len(said) == 3
    assert all("used once" in each for each in said)


def test_other_files_of_a_folder_are_passed_over_with_a_count(photos, registry):
    for name in ("a.tga", "b.TGA", "notes", "._p0.png", ".DS_Store"):
        (photos / name).write_bytes(b"x")
    assert remarks(registry, {"folder": str(photos)}) == (
        ["p0", "p1", "p2"],
        [f"{photos}: skipped 2 .tga, 1 without a suffix, 2 hidden"],
    )


def test_unreadable_images_are_skipped_where_that_is_asked_for(photos, registry):
    (photos / "p1.png").write_bytes(b"broken")
    names, said = remarks(registry, {"folder": str(photos), "unreadable": "skip"})
    assert names == ["p0", "p2"]
    assert said == [f"skipped: {photos / 'p1.png'}: not an image in a supported format (6 bytes)"]
    for path in photos.iterdir():
        path.write_bytes(b"")
    with pytest.raises(ImageError, match="no image can be read:\nskipped"):
        resolve(registry, {"folder": str(photos), "unreadable": "skip"})


def test_folders_that_look_like_patterns_and_homes(photos, registry, monkeypatch):
    odd = photos.parent / "set [2024]"
    photos.rename(odd)
    suite = odd / "s.yaml"
    suite.write_text("images: [{glob: '*.png'}]\ncodecs: {png: }\nmetrics: [bpp]\n")
    assert len(resolve_images(load_suite(suite, registry), registry).images) == 3
    monkeypatch.setenv("HOME", str(odd))
    assert [image.name for image in resolve(registry, {"files": ["~/p1.png"]})] == ["p1"]


def test_names_as_people_have_them(tmp_path, registry):
    names = ["ünï 😀", "a\nb", "e\u0301", "x" * 200, "con", "nul.x", "A", "a", "-q", "$(x)", "\x1b[31mred"]
    for name in names:
        Image.fromarray(sample_pixels(8, 8)).save(tmp_path / f"{name}.png")
    Image.fromarray(sample_pixels(8, 8)).save(tmp_path / "con.jpg")
    found = [image.name for image in resolve(registry, {"folder": str(tmp_path)})]
    assert sorted(found) == sorted([*(set(names) - {"con", "a"}), "con.png", "con.jpg", "a (2)"])


def test_a_name_that_is_no_text_is_refused(tmp_path, registry):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.fromarray(sample_pixels(8, 8)).save(path)
    with pytest.raises(ImageError, match=r"caf\\udce9\.png: the path is not valid UTF-8; rename it"):
        resolve(registry, {"folder": str(tmp_path)})


def test_a_pipe_is_no_image(tmp_path, registry):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageError, match="not a regular file"):
        resolve(registry, {"files": [str(tmp_path / "a.png")]})


def test_naming_is_linear():
    sources = [ImageFile(Path(f"/photos/{number // 2}/{number % 2}.png")) for number in range(20_000)]
    assert len(set(_unique_names(sources))) == 20_000


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
    assert "p1.png: damaged or truncated" in lines[1]
    assert "gone.png: can't read the image" in lines[2]


def test_a_dataset_that_is_not_there_names_the_command(registry):
    with pytest.raises(DatasetError, match="qbench datasets pull kodak"):
        resolve(registry, {"dataset": "kodak"})


def test_a_loop_of_links_leads_to_the_shortest_path(tmp_path, registry):
    folder = tmp_path / "set"
    (folder / "z").mkdir(parents=True)
    Image.fromarray(sample_pixels(8, 8)).save(folder / "z" / "a.png")
    (folder / "a").symlink_to(folder)
    plan = qbench.plan(
        {"images": [{"glob": f"{folder}/**/*.png"}], "codecs": {"png": None}, "metrics": ["bpp"]}, registry=registry
    )
    (image,) = plan.images
    assert image.location == str(folder / "z" / "a.png")


def test_a_name_that_the_locale_lacks_is_told_apart_from_a_broken_one(tmp_path):
    (tmp_path / "p").mkdir()
    Image.fromarray(sample_pixels(8, 8)).save(tmp_path / "p" / "\u00e9.png")
    code = "import qbench; qbench.plan({'images': [{'folder': 'p'}], 'codecs': {'png': None}, 'metrics': ['bpp']})"
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert b"encoding (ascii) lacks a character of the path; set PYTHONUTF8=1" in done.stderr


def test_what_runs_wrote_is_no_original(photos, registry):
    kept = photos / "runs" / "s-123456" / "reconstructions" / "jpeg"
    kept.mkdir(parents=True)
    (kept / "p0.png").write_bytes((photos / "p0.png").read_bytes())
    (photos / "runs" / "s-123456" / "journal.jsonl").write_text("")
    names, said = remarks(registry, {"glob": f"{photos}/**/*.png"})
    assert names == ["p0", "p1", "p2"]
    assert said == [f"{photos}/**/*.png: skipped 1 in run folders"]
    assert remarks(registry, {"folder": str(kept)}) == (["p0"], [])  # who names it means it
    assert remarks(registry, {"glob": f"{kept}/*.png"}) == (["p0"], [])


def test_hard_links_are_one_file(photos, registry):
    os.link(photos / "p0.png", photos / "again.png")
    names, said = remarks(registry, {"folder": str(photos)})
    assert names == ["again", "p1", "p2"]
    assert said == [f"{photos / 'again.png'}: found 2 times, used once"]


def test_one_file_on_white_and_on_black_is_two_originals(tmp_path, registry):
    pixels = sample_pixels(8, 8)
    clear = Image.merge("RGBA", [*Image.fromarray(pixels).split(), Image.new("L", (8, 8), 128)])
    clear.save(tmp_path / "a.png")
    found = resolve(registry, *({"folder": str(tmp_path), "alpha": ground} for ground in ("white", "black")))
    assert [image.alpha for image in found] == ["white", "black"]
    assert len({image.sha256 for image in found}) == len({image.name for image in found}) == 2


def test_names_that_people_cannot_tell_apart_are_numbered(tmp_path, registry):
    for folder, name in (("one", "caf\u00e9"), ("two", "cafe\u0301"), ("three", " ")):
        (tmp_path / folder).mkdir()
        Image.fromarray(sample_pixels(8, 8)).save(tmp_path / folder / f"{name}.png")
    assert [image.name for image in resolve(registry, {"glob": f"{tmp_path}/*/*.png"})] == [
        "caf\u00e9",
        " .png",
        "cafe\u0301 (2)",
    ]


def test_a_limit_that_is_no_number_is_told_once(photos, registry, monkeypatch):
    monkeypatch.setenv("QBENCH_MAX_PIXELS", "many")
    with pytest.raises(ImageError, match=r"^QBENCH_MAX_PIXELS is `many`; accepted: [^\n]*$"):
        resolve(registry, {"folder": str(photos)})
