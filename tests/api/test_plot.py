"""Figures of runs: which curves are drawn, over which images, and what is refused."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree

import pytest
from conftest import sample_pixels
from PIL import Image

import qbench
from qbench.errors import QbenchError
from qbench.reporting.appearance import LIGHT


def made(folder, name, codecs=("jpeg", "webp"), metrics=("psnr", "ms-ssim")):
    suite = {
        "name": name,
        "images": [{"folder": str(folder)}],
        "codecs": {codec: {"quality": [10, 30, 60, 90]} for codec in codecs},
        "metrics": list(metrics),
    }
    return qbench.run(suite, output=folder.parent / f"{name}-run", jobs=1)


def drawn(folder):
    folder.mkdir()
    for index in range(3):
        Image.fromarray(sample_pixels(192, 176, index)).save(folder / f"p{index}.png")
    return folder


@pytest.fixture
def photos(tmp_path):
    return drawn(tmp_path / "photos")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that no test changes, of the same pictures as ``photos``."""
    return made(drawn(tmp_path_factory.mktemp("one") / "photos"), "one")


def texts(path):
    return ["".join(each.itertext()) for each in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_metrics_are_called_as_papers_call_them(run):
    drawing = qbench.plot(run, "a.svg", ["psnr", "ms-ssim", "ms-ssim.db"])
    assert [axes.get_ylabel() for axes in drawing.figure.axes] == ["PSNR (dB) ↑", "MS-SSIM ↑", "MS-SSIM (dB) ↑"]
    assert drawing.notes == ()


def test_a_label_of_the_suite_stays(photos):
    suite = {
        "name": "labels",
        "images": [{"folder": str(photos)}],
        "codecs": {"jpeg": {"quality": [10, 30, 60, 90]}},
        "metrics": {"my-psnr": {"metric": "psnr"}},
    }
    drawing = qbench.plot(qbench.run(suite, jobs=1))
    assert drawing.figure.axes[0].get_ylabel() == "my-psnr (dB) ↑"


def test_a_codec_looks_the_same_in_every_figure(run):
    for options in ({}, {"codecs": "webp"}, {"metrics": "ms-ssim", "codecs": ["webp"]}):
        lines = qbench.plot(run, **options).figure.axes[0].get_lines()
        assert {line.get_color() for line in lines if "webp" in line.get_gid()} == {LIGHT[1]}


def test_runs_over_different_images_are_drawn_over_those_in_common(run, photos, tmp_path):
    fewer = tmp_path / "fewer"
    shutil.copytree(photos, fewer)
    (fewer / "p0.png").unlink()
    other = made(fewer, "other")
    told = []
    drawing = qbench.plot([run, other], "a.svg", notice=told.append)
    assert told == list(drawing.notes) == ["psnr: 2 images in common, of 3 that one-run has"]
    alone = qbench.plot(other).figure.axes[0].get_lines()[1].get_xydata()
    for line in drawing.figure.axes[0].get_lines():
        if line.get_gid() == "jpeg (one-run)":
            assert line.get_xydata() == pytest.approx(alone)
            break
    else:
        raise AssertionError("jpeg of the first run is not drawn")
    assert {"jpeg (one-run)", "jpeg (other-run)"} <= set(texts("a.svg"))


def test_no_images_or_no_metrics_in_common(run, photos, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.fromarray(sample_pixels(192, 176, 9)).save(elsewhere / "p0.png")
    with pytest.raises(QbenchError, match="no images in common that all have values of psnr"):
        qbench.plot([run, made(elsewhere, "elsewhere")])
    with pytest.raises(QbenchError, match="no metric in common"):
        qbench.plot([run, made(photos, "by-mse", metrics=["mse"])])


def test_codecs_without_a_curve_are_named(photos):
    Image.fromarray(sample_pixels(40, 40, 7)).save(photos / "tiny.png")  # too small for MS-SSIM
    suite = {
        "name": "lacking",
        "images": [{"folder": str(photos)}],
        "codecs": {"jpeg": {"quality": [10, 30, 60, 90]}, "png": {}},
        "metrics": ["psnr", "ms-ssim"],
    }
    run = qbench.run(suite, jobs=1)
    assert qbench.plot(run, metrics="psnr").notes == ("psnr: no curve of png, without any finite value",)
    assert qbench.plot(run, metrics="ms-ssim").notes == ("ms-ssim: over 3 of 4 images (without tiny)",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": "pnsr"}, "no curve of `pnsr`; did you mean `psnr`?"),
        ({"codecs": ["jpg"]}, "unknown codec `jpg`; did you mean `jpeg`?"),
        ({"rename": {"jpge": "JPEG"}}, "unknown codec `jpge`; did you mean `jpeg`?"),
        ({"legend": "inside"}, "unknown legend `inside`"),
        ({"limits": {"ssim": (0, 1)}}, "unknown metric of limits `ssim`"),
        ({"width": "poster"}, "width poster: accepted are column, page, or inches"),
        ({"rename": {"jpeg": "webp"}}, "jpeg and webp would both be called webp"),
        ({"rate_limits": (0, 3)}, "a logarithmic axis begins above 0"),
        ({"output": "a.jpg"}, "unknown ending; accepted: .pdf, .svg, .png"),
    ],
)
def test_what_is_refused(run, options, message):
    with pytest.raises(QbenchError) as found:
        qbench.plot(run, **options)
    assert message in str(found.value)


def test_on_the_command_line(run, qbench_command):
    done = qbench_command(
        *(
            "plot",
            str(run.path),
            "-o",
            "a.svg",
            "-m",
            "psnr",
            "-m",
            "ms-ssim",
            "--width",
            "page",
            "--codecs",
            "jpeg, webp",
        ),
        *("--rename", "jpeg=JPEG = old", "--legend", "outside", "--xlim", "0.1,9", "--ylim", "psnr=20,50", "--bands"),
        *("--linear", "--dark", "--no-caption"),
    )
    assert (done.returncode, done.stderr) == (0, "note: bands: 95 % intervals of means over images (Student's t)\n")
    assert {"JPEG = old", "webp", "PSNR (dB) ↑", "MS-SSIM ↑"} <= set(texts("a.svg"))
    for arguments, message in (
        (["--xlim", "2,1"], "--xlim 2,1: accepted are two numbers, the lower first, such as 0.1,2"),
        (["--ylim", "psnr=a,b"], "--ylim psnr=a,b: accepted are two numbers"),
        (["--ylim", "=1,2"], "--ylim =1,2: accepted is NAME=VALUE, such as psnr=30,45"),
        (["--rename", "jpeg"], "--rename jpeg: accepted is NAME=VALUE, such as jpeg=JPEG"),
        (["--width", "tiny"], "width tiny: accepted are column, page, or inches from 2 to 40"),
    ):
        refused = qbench_command("plot", str(run.path), "-o", "b.svg", *arguments)
        assert refused.returncode == 2
        assert message in " ".join(refused.stderr.split())
