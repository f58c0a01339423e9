"""Comparisons without a suite, and a suite to begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import qbench
from qbench.api.trying import suite_of, swept
from qbench.errors import QbenchError
from qbench.registry.registry import default_registry

MINE = (
    "from pydantic import Field\n"
    "import numpy as np\n"
    "from qbench.plugin import Codec, Image, Parameters\n"
    "class Settings(Parameters):\n"
    "    step: int = Field(8, ge=1, le=64)\n"
    "class Mine(Codec):\n"
    "    Parameters = Settings\n"
    "    def encode(self, image):\n"
    "        levels = image.pixels // self.parameters.step\n"
    "        return np.array(levels.shape, '>u2').tobytes() + levels.tobytes()\n"
    "    def decode(self, bitstream):\n"
    "        levels = np.frombuffer(bitstream[6:], np.uint8).reshape(np.frombuffer(bitstream[:6], '>u2'))\n"
    "        return Image((levels * self.parameters.step).astype(np.uint8))\n"
)


def test_a_comparison_in_one_line(photos, qbench_command):
    Path("mine.py").write_text(MINE)
    done = qbench_command(
        *("try", str(photos), "-c", "jpeg", "-c", "mine.py:Mine", "-m", "psnr", "--save", "kept/suite.yaml"),
        "--no-report",
    )
    assert done.returncode == 2  # there is no such folder yet
    Path("kept").mkdir()
    done = qbench_command(
        *("try", str(photos), "-c", "jpeg", "-c", "mine.py:Mine", "-m", "psnr", "--save", "kept/suite.yaml")
    )
    assert done.returncode == 0, done.stderr
    assert "mine:step=7" in done.stdout
    assert "no BD-rates against jpeg: mine: " in done.stdout
    run = qbench.load_run(next(Path("runs").iterdir()))
    assert (run.path / "report.html").exists()
    assert [point.label for point in run.plan.points] == ["jpeg"] * 5 + ["mine"] * 5
    again = qbench.run("kept/suite.yaml", output="again", jobs=1)
    assert [row.entries["psnr"].value for row in again.rows] == [row.entries["psnr"].value for row in run.rows]
    refused = qbench_command("try", str(photos), "-c", "jpeg", "--save", "kept/suite.yaml")
    assert (refused.returncode, "is there already" in refused.stderr) == (2, True)


def test_targets(photos, qbench_command):
    done = qbench_command(
        *("try", str(photos / "p0.png"), "-c", "jpeg,webp", "-m", "psnr", "--target", "bpp=2", "-q", "--no-report")
    )
    assert done.returncode == 0, done.stderr
    run = qbench.load_run(next(Path("runs").iterdir()))
    assert [point.id for point in run.plan.points] == ["jpeg:target.bpp=2.0", "webp:target.bpp=2.0"]
    assert all(row.rate == pytest.approx(2, rel=0.15) for row in run.rows)


def test_customary_codecs_cover_their_ranges():
    registry = default_registry()
    usual = [name for name in registry.codecs if registry.codecs[name].usual]
    assert usual == ["avif", "jpeg", "jpeg-xl", "webp"]
    for name in usual:
        ((parameter, values),) = swept(name, registry).items()
        assert len(values) == 5
        for value in values:
            registry.codecs[name].Parameters(**{parameter: value})
    assert swept("png", registry) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.png"], "nothing.png: no such file or folder"),
        (["photos", "-c", "jpge"], "unknown codec `jpge`; did you mean `jpeg`"),
        (["photos", "-c", "jpeg", "-c", "jpeg"], "jpeg is named twice"),
        (["photos", "-m", "psrn"], "unknown metric `psrn`; did you mean `psnr`"),
        (["photos", "--target", "bbp=1"], "no metric gives `bbp`; did you mean `bpp`"),
        (["photos", "--target", "bpp"], "accepted is COLUMN=NUMBER"),
        (["photos", "-c", "png", "--target", "bpp=1"], "png doesn't support targets"),
    ],
)
def test_what_is_refused(photos, qbench_command, arguments, message):
    refused = qbench_command("try", *(str(photos) if each == "photos" else each for each in arguments))
    assert refused.returncode == 2, refused.stdout
    assert message in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr


def test_no_images():
    with pytest.raises(QbenchError, match="no images are given"):
        suite_of([])


def test_a_suite_to_begin_with(photos, qbench_command):
    here = photos.rename(Path("photos").absolute())
    done = qbench_command("init", "photos")
    assert done.returncode == 0, done.stderr
    text = (here / "suite.yaml").read_text()
    assert yaml.safe_load(text)["images"] == [{"folder": "."}]
    assert qbench_command("plan", "photos/suite.yaml").returncode == 0
    refused = qbench_command("init", "photos")
    assert (refused.returncode, "is there already" in refused.stderr) == (2, True)
    assert qbench_command("init", "no-such-folder").returncode == 2
    assert qbench_command("init").returncode == 0  # here, where images are in a folder below
    assert yaml.safe_load(Path("suite.yaml").read_text())["images"] == [{"folder": "photos"}]


def test_a_folder_is_no_suite(photos, qbench_command):
    refused = qbench_command("run", str(photos))
    assert refused.returncode == 2
    assert f"`qbench try {photos}` compares codecs" in refused.stderr
    assert f"`qbench init {photos}` writes a suite" in refused.stderr
