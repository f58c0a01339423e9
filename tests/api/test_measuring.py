"""Scores of images that are there already."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from conftest import sample_pixels
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import qbench
from qbench.errors import QbenchError
from qbench.registry.registry import default_registry


@pytest.fixture
def folders(tmp_path):
    """Originals, and JPEGs of them, in two folders."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for index in range(3):
        picture = Image.fromarray(sample_pixels(192, 176, index))
        picture.save(tmp_path / "a" / f"p{index}.png")
        picture.save(tmp_path / "b" / f"p{index}.jpg", quality=30 * index + 20)
    return tmp_path / "a", tmp_path / "b"


def pixels(path):
    return np.array(Image.open(path).convert("RGB"))


def test_one_pair_in_whatever_form_it_is_given(folders):
    one, other = folders[0] / "p1.png", folders[1] / "p1.jpg"
    expected = {
        "psnr": peak_signal_noise_ratio(pixels(one), pixels(other)),
        "ssim": structural_similarity(
            pixels(one), pixels(other), channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        ),
    }
    for reference, distorted in (
        (one, other),
        (str(one), str(other)),
        (pixels(one), pixels(other)),
        (Image.open(one), Image.open(other)),
        (qbench.read_image(one), pixels(other)),
    ):
        found = qbench.measure(reference, distorted, ["psnr", "ssim"])
        assert found == {"psnr": pytest.approx(expected["psnr"]), "ssim": pytest.approx(expected["ssim"], abs=2e-3)}


def test_lists(folders):
    originals, images = (sorted(folder.iterdir()) for folder in folders)
    found = qbench.measure(originals, images, "psnr")
    assert [row["psnr"] for row in found] == pytest.approx(
        [peak_signal_noise_ratio(pixels(one), pixels(other)) for one, other in zip(originals, images, strict=True)]
    )
    assert len(qbench.measure(originals[0], images, "mse")) == 3
    with pytest.raises(QbenchError, match="2 references for 3 images; accepted: one, or as many"):
        qbench.measure(originals[:2], images, "psnr")


def test_rates_are_of_files(folders):
    path = folders[1] / "p0.jpg"
    found = qbench.measure(folders[0] / "p0.png", path, ["bpp"])
    assert found["bpp"] == pytest.approx(8 * path.stat().st_size / (192 * 176))
    assert qbench.measure(folders[0] / "p0.png", pixels(path), ["bpp"]) == {"bpp": None}


def test_grey_arrays_and_what_is_refused():
    grey = sample_pixels(40, 40)[:, :, 0]
    assert qbench.measure(grey, np.repeat(grey[:, :, None], 3, axis=2), "mse") == {"mse": 0.0}
    for wrong, message in (
        (grey / 255, "an array of float64; accepted: uint8, from 0 to 255"),
        (np.zeros((4, 4, 4), np.uint8), r"an array of shape \(4, 4, 4\); accepted: H×W×3, or H×W"),
        (Image.new("CMYK", (4, 4)), "a Pillow image of mode CMYK; accepted: RGB or L"),
    ):
        with pytest.raises(QbenchError, match=message):
            qbench.measure(grey, wrong, "mse")
    with pytest.raises(QbenchError, match="reference has 40×40 pixels; distorted image has 40×39 pixels"):
        qbench.measure(grey, grey[:39], "mse")


def test_what_is_customary_is_measured_by_default(folders):
    usual = [name for name in default_registry().metrics if default_registry().metrics[name].usual]
    assert usual == ["ms-ssim", "psnr", "ssim"]
    found = qbench.measure(folders[0] / "p0.png", folders[1] / "p0.jpg")
    assert set(found) == {"ms-ssim", "ms-ssim.db", "psnr", "ssim"}


def test_folders_on_the_command_line(folders, qbench_command):
    one, other = map(str, folders)
    done = qbench_command("measure", one, other, "-m", "psnr,bpp", "-m", "fid-toy", "-f", "csv")
    assert done.returncode == 2  # no such metric
    done = qbench_command("measure", one, other, "-m", "psnr,bpp", "-f", "csv")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["image"] for row in rows] == ["p0", "p1", "p2", "mean"]
    values = [float(row["psnr"]) for row in rows]
    assert values[3] == pytest.approx(np.mean(values[:3]))
    assert values[1] == pytest.approx(peak_signal_noise_ratio(pixels(f"{one}/p1.png"), pixels(f"{other}/p1.jpg")))
    loaded = json.loads(qbench_command("measure", one, other, "-m", "psnr", "-f", "json").stdout)
    assert [row["psnr"] for row in loaded["rows"]] == pytest.approx(values)
    shown = qbench_command("measure", one, other, "-m", "psnr")
    assert "mean" in shown.stdout
    assert "p1.jpg" in shown.stdout


def test_metrics_of_distributions_have_a_value_for_each_folder(folders, qbench_command):
    one, other = map(str, folders)
    done = qbench_command("measure", one, other, other, "-m", "kid,psnr", "-f", "json")
    assert done.returncode in (0, 1), done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["image"] for row in rows].count("all images") == 1
    assert all(row["psnr"] is None for row in rows if row["image"] == "all images")


def test_conditions_for_ci(folders, qbench_command):
    one, other = map(str, folders)
    arguments = ("measure", one, other, "-m", "psnr", "-m", "bpp", "-f", "csv")
    assert qbench_command(*arguments, "--fail-if", "psnr < 1").returncode == 0
    failed = qbench_command(*arguments, "--fail-if", "psnr < 30", "--fail-if", "bpp >= 1e9")
    assert failed.returncode == 1
    assert "failed: psnr < 30:" in failed.stderr
    assert "bpp" not in failed.stderr
    assert failed.stdout.startswith("reference,distorted,image")
    for condition, message in (
        ("psnr", "`psnr` is not a valid condition; accepted: COLUMN <"),
        ("psnr < x", "is not a valid condition"),
        ("psrn < 3", "no column `psrn`; did you mean `psnr`?"),
    ):
        refused = qbench_command(*arguments, "--fail-if", condition)
        assert refused.returncode == 2
        assert message in refused.stderr


def test_what_cant_be_judged_fails(tmp_path, qbench_command):
    for name in ("a.png", "b.png"):
        Image.fromarray(sample_pixels(30, 30)).save(tmp_path / name)
    done = qbench_command(
        "measure", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "-m", "ms-ssim", "--fail-if", "ms-ssim < 0"
    )
    assert done.returncode == 1
    assert "can't be judged" in done.stderr
    assert "– ms-ssim:" in done.stdout  # with the reason


def test_pairs_that_dont_match_are_named(folders, qbench_command):
    (folders[1] / "p1.jpg").rename(folders[1] / "q1.jpg")
    refused = qbench_command("measure", *map(str, folders))
    assert refused.returncode == 2
    assert "without a partner of that name" in refused.stderr
    assert "p1.png" in refused.stderr
    assert "q1.jpg" in refused.stderr
    mixed = qbench_command("measure", str(folders[0]), str(folders[1] / "p0.jpg"))
    assert "accepted: all files, or all folders" in mixed.stderr
    missing = qbench_command("measure", "nothing.png", str(folders[1] / "p0.jpg"))
    assert (missing.returncode, "nothing.png: no such file" in missing.stderr) == (2, True)
    other = Image.fromarray(sample_pixels(10, 20))
    other.save(folders[1] / "small.png")
    sizes = qbench_command("measure", str(folders[0] / "p0.png"), str(folders[1] / "small.png"))
    assert sizes.returncode == 2
    assert "192×176" in sizes.stderr
    assert "10×20" in sizes.stderr


def test_a_metric_that_fails_is_named_and_the_rest_is_there(folders, tmp_path, qbench_command):
    plugin = tmp_path / "broken.py"
    plugin.write_text(
        "from qbench.plugin import Column, Direction, Metric\n"
        "class Broken(Metric):\n"
        "    columns = (Column('broken', Direction.HIGHER),)\n"
        "    def score(self, reference, candidates):\n"
        "        raise ValueError('out of order')\n"
    )
    done = qbench_command("measure", *map(str, folders), "-m", "broken,psnr", "--plugin", str(plugin))
    assert done.returncode == 1
    assert "metric broken, plugin broken (broken.py file), failed: out of order" in done.stderr
    assert "mean" in done.stdout
