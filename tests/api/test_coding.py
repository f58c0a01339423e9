"""A codec at hand: single images encoded and decoded, with no suite."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import sample_pixels
from one_file import RAW
from PIL import Image

import qbench
from qbench.errors import BitstreamError, QbenchError


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(sample_pixels(96, 80)).save(path)
    return path


def pixels(path):
    return np.array(Image.open(path).convert("RGB"))


def test_in_one_line(picture):
    bitstream = qbench.codec("jpeg", quality=40).encode(picture)
    assert np.array_equal(np.array(Image.open(io.BytesIO(bitstream))), qbench.codec("jpeg").decode(bitstream))
    with qbench.codec("jpeg", quality=40) as coder:
        assert coder.settings["quality"] == 40
        for given in (pixels(picture), Image.open(picture), qbench.read_image(picture)):
            assert coder.encode(given) == bitstream
    autoencoder = qbench.codec("autoencoder", quality=4)
    decoded = autoencoder.decode(autoencoder.encode(pixels(picture)))
    assert decoded.shape == (80, 96, 3)
    assert decoded.dtype == np.uint8


def test_it_is_what_a_run_measures(picture):
    suite = {
        "images": [{"files": [str(picture)]}],
        "codecs": {"webp": {"quality": 30}},
        "metrics": ["psnr"],
        "keep": {"bitstreams": True},
    }
    run = qbench.run(suite, output="run", jobs=1)
    [kept] = list(run.path.rglob("*.webp"))
    assert kept.read_bytes() == qbench.codec("webp", quality=30).encode(picture)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: qbench.codec("jpge"), "unknown codec `jpge`; did you mean `jpeg`"),
        (lambda: qbench.codec("jpeg", qality=4), "unknown key `qality`; did you mean `quality`"),
        (lambda: qbench.codec("jpeg", quality=101), "101 is not accepted; accepted: integer from 1 to 100"),
        (lambda: qbench.codec("jpeg").encode("nothing.png"), "nothing.png: can't read the image"),
        (lambda: qbench.codec("jpeg").encode(np.zeros((4, 4))), "an array of float64; accepted: uint8"),
        (lambda: qbench.codec("none.py:Mine"), "none.py: no such file"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(QbenchError) as found:
        call()
    assert message in str(found.value)


def test_damage_is_the_codecs_to_tell():
    with pytest.raises(BitstreamError):
        qbench.codec("jpeg").decode(b"no JPEG")


def test_an_image_format_is_written_as_it_is(picture, qbench_command):
    done = qbench_command("encode", str(picture), "-c", "jpeg", "-p", "quality=40", "-o", "out.jpg")
    assert (done.returncode, done.stdout) == (0, "out.jpg\n")
    size = Path("out.jpg").stat().st_size
    assert f"{size} bytes, {8 * size / 7680:.4f} bit/pixel" in done.stderr
    assert not Path("out.jpg.codec.json").exists()
    assert qbench_command("decode", "out.jpg", "-c", "jpeg", "-o", "back.png").returncode == 0
    assert np.array_equal(pixels("back.png"), pixels("out.jpg"))
    refused = qbench_command("decode", "out.jpg", "-o", "back.png")
    assert refused.returncode == 2
    assert "nothing beside it says which codec made it; name it with --codec" in refused.stderr


def test_other_bitstreams_say_beside_them_what_made_them(picture, qbench_command):
    done = qbench_command("encode", str(picture), "-c", "autoencoder", "-p", "quality=4")
    assert done.stdout.split() == ["cat.qae", "cat.qae.codec.json"]
    told = json.loads(Path("cat.qae.codec.json").read_text())
    assert (told["codec"], told["settings"]["quality"]) == ("autoencoder", 4)
    assert qbench_command("decode", "cat.qae", "-o", "back.png").returncode == 0
    coder = qbench.codec("autoencoder", quality=4)
    assert np.array_equal(pixels("back.png"), coder.decode(Path("cat.qae").read_bytes()))
    Path("cat.qae").write_bytes(b"damaged")
    damaged = qbench_command("decode", "cat.qae", "-o", "back.png")
    assert (damaged.returncode, "autoencoder can't decode it" in damaged.stderr) == (2, True)
    assert "Traceback" not in damaged.stderr
    Path("cat.qae.codec.json").write_text("[]")
    assert "damaged" in qbench_command("decode", "cat.qae", "-o", "back.png").stderr


def test_targets(picture, qbench_command):
    done = qbench_command("encode", str(picture), "-c", "jpeg", "--target", "psnr=32", "-o", "out.jpg")
    assert done.returncode == 0, done.stderr
    found = qbench.measure(picture, "out.jpg", "psnr")["psnr"]
    quality = int(done.stderr.partition("quality ")[2].partition(",")[0])
    for other in (quality - 1, quality + 1):
        bitstream = qbench.codec("jpeg", quality=other).encode(picture)
        there = qbench.measure(picture, qbench.codec("jpeg").decode(bitstream), "psnr")["psnr"]
        assert abs(there - 32) >= abs(found - 32)
    sizes = qbench_command("encode", str(picture), "-c", "jpeg", "--target", "bpp=2", "-o", "out.jpg")
    assert sizes.returncode == 0
    assert 8 * Path("out.jpg").stat().st_size / 7680 == pytest.approx(2, rel=0.1)
    for arguments, message in (
        (["--target", "bpp"], "accepted is COLUMN=NUMBER"),
        (["--target", "bbp=1"], "no metric gives `bbp`; did you mean `bpp`?"),
        (["--target", "bpp=1", "-p", "quality=4"], "quality is chosen by the target"),
        (["--target", "bpp=99"], "out of reach"),
        (["-p", "quality"], "accepted is NAME=VALUE"),
    ):
        refused = qbench_command("encode", str(picture), "-c", "jpeg", *arguments, "-o", "no.jpg")
        assert refused.returncode == 2, arguments
        assert message in refused.stderr
        assert not Path("no.jpg").exists()


def test_a_codec_in_a_file(picture, tmp_path, qbench_command):
    path = tmp_path / "mine.py"
    path.write_text(RAW)
    for name in (f"{path}:Mine", str(path)):
        assert qbench_command("encode", str(picture), "-c", name, "-o", "out.bin").returncode == 0
    assert qbench_command("decode", "out.bin", "-c", str(path), "-o", "back.png").returncode == 0
    assert np.array_equal(pixels("back.png"), pixels(picture))
    refused = qbench_command("encode", str(picture), "-c", f"{path}:Mein", "-o", "out.bin")
    assert refused.returncode == 2
    assert "no codec `Mein`; did you mean `Mine`?" in refused.stderr


def test_the_image_itself_is_never_written_over(picture, qbench_command):
    before = picture.read_bytes()
    refused = qbench_command("encode", str(picture), "-c", "jpeg", "-o", str(picture))
    assert (refused.returncode, "is the image itself" in refused.stderr) == (2, True)
    assert picture.read_bytes() == before
