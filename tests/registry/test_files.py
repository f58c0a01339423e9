"""Plugins that are one file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import qbench
from qbench.errors import PluginError, SuiteError
from qbench.registry.files import load_code
from qbench.registry.registry import default_registry, registry_with

CODEC = """
from pydantic import Field
from beside import quantised
from qbench.plugin import Codec, Image, Parameters
import numpy as np


class MineParameters(Parameters):
    step: int = Field(8, ge=1, le=64)


class Mine(Codec):
    'Quantised.'

    Parameters = MineParameters
    file_extension = "mine"

    def encode(self, image):
        levels = quantised(image.pixels, self.parameters.step)
        return np.array(levels.shape[:2], ">u2").tobytes() + levels.tobytes()

    def decode(self, bitstream):
        height, width = np.frombuffer(bitstream[:4], ">u2")
        levels = np.frombuffer(bitstream[4:], np.uint8).reshape(height, width, 3).astype(int)
        return Image(np.clip(levels * self.parameters.step, 0, 255).astype(np.uint8))
"""
BESIDE = "def quantised(pixels, step):\n    return pixels // step\n"


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "beside.py").write_text(BESIDE)
    path = folder / "mycodec.py"
    path.write_text(CODEC)
    return path


def suite(photos, **more):
    return {
        "name": "own",
        "images": [{"folder": str(photos)}],
        "codecs": {"mine": {"step": [4, 16]}},
        "metrics": ["psnr"],
        **more,
    }


def test_a_file_is_a_plugin_without_packaging(mine, photos):
    with pytest.raises(SuiteError, match="mine"):
        qbench.plan(suite(photos))
    run = qbench.run(suite(photos), plugins=[mine], jobs=1)  # in processes of its own, as any codec
    assert not run.failures
    assert run.complete
    pixels = qbench.read_image(photos / "p0.png").pixels
    error = np.mean((pixels.astype(float) - pixels // 16 * 16) ** 2)
    row = next(row for row in run.rows if (row.image, row.point) == ("p0", "mine:step=16"))
    assert row.entries["psnr"].value == pytest.approx(10 * np.log10(255**2 / error))
    assert row.rate == pytest.approx(24 + 8 * 4 / (pixels.size / 3))
    assert "mine" not in default_registry().codecs


def test_a_suite_names_files_relative_to_itself(mine, photos, qbench_command):
    path = mine.parent / "suite.yaml"
    path.write_text(json.dumps(suite(photos, plugins=["./mycodec.py"])))
    done = qbench_command("run", str(path), "-q", "--no-report")
    assert done.returncode == 0, done.stderr
    run = qbench.load_run(done.stdout.split()[-1])
    assert run.complete
    assert not run.failures


def test_what_is_edited_is_measured_anew_wherever_it_lies(mine, photos, tmp_path, qbench_command):
    def key():
        found = qbench_command("plan", "s.yaml", "--plugin", str(mine))
        assert found.returncode == 0, found.stderr
        return found.stdout.split("plan ")[-1].split()[0]

    Path("s.yaml").write_text(json.dumps(suite(photos)))
    first = key()
    assert key() == first
    (mine.parent / "beside.py").write_text(BESIDE.replace("// step", "// step // 1"))
    second = key()
    assert second != first
    mine.write_text(CODEC + "\n# edited\n")
    assert key() not in (first, second)
    mine.write_text(CODEC)
    (mine.parent / "beside.py").write_text(BESIDE)
    mine = mine.parent.rename(tmp_path / "elsewhere") / mine.name
    assert key() == first


def test_an_edited_file_is_imported_anew_in_one_process(mine):
    one = registry_with([mine]).codecs["mine"]
    mine.write_text(CODEC.replace("ge=1", "ge=2"))
    other = registry_with([mine]).codecs["mine"]
    assert one is not other
    assert registry_with([mine]).codecs["mine"] is other


def test_a_run_folder_loads_no_file_unasked(mine, photos):
    run = qbench.run(suite(photos), plugins=[mine], jobs=1)
    assert run.plan.plugins == (str(mine),)
    mine.write_text("raise SystemExit('run')")
    verification = qbench.verify(run)  # says that the codec is not installed
    assert not verification.good
    mine.write_text(CODEC)
    assert qbench.verify(run, plugins=[mine]).good
    assert qbench.verify(run, trust=True).good


def test_metrics_and_hooks(tmp_path, photos):
    path = tmp_path / "two.py"
    path.write_text(
        "from qbench.plugin import Column, Direction, Metric, hookimpl\n"
        "class Darkest(Metric):\n"
        "    name = 'darkest'\n"
        "    summary = 'darkest sample'\n"
        "    columns = (Column('darkest', Direction.HIGHER),)\n"
        "    def score(self, reference, candidates):\n"
        "        return [{'darkest': float(image.pixels.min())} for image in candidates.images]\n"
        "class _Hidden(Darkest):\n"
        "    name = 'hidden'\n"
        "@hookimpl\n"
        "def qbench_register_metrics(register):\n"
        "    register(Darkest)\n"
    )
    registry = registry_with([path])
    assert "darkest" in registry.metrics
    assert "hidden" not in registry.metrics
    assert registry.metrics.offer("darkest").plugin.distribution == "two.py"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "registers nothing; accepted are classes of qbench.plugin's Codec"),
        ("def broken(:\n", "can't be imported: SyntaxError: invalid syntax"),
        ("import nowhere_at_all\n", "can't be imported: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise SystemExit(3)\n", "can't be imported: SystemExit: 3"),
        (CODEC.replace("class Mine(", "class Jpeg(").replace("from beside import quantised", ""), "jpeg"),
        (CODEC.replace("def decode", "def dekode").replace("from beside import quantised", ""), "implement decode"),
    ],
)
def test_what_is_no_plugin_is_said(tmp_path, text, message, photos, qbench_command):
    path = tmp_path / "wrong.py"
    path.write_text(text)
    with pytest.raises(PluginError) as found:
        registry_with([path])
    assert message in str(found.value)
    Path("s.yaml").write_text(json.dumps(suite(photos, plugins=[str(path)])))
    done = qbench_command("plan", "s.yaml")
    assert done.returncode == 2
    assert "plugins" in done.stderr


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(PluginError, match=r"none\.py: no such file"):
        registry_with([tmp_path / "none.py"])
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(PluginError, match=r"a plugin file is Python code and ends in \.py"):
        registry_with([tmp_path / "a.txt"])


def test_code_by_name(mine):
    assert registry_with([mine]).codecs["mine"].summary == "Quantised."
    assert load_code(f"{mine}:Mine") is registry_with([mine]).codecs["mine"]
    assert load_code("zlib:crc32") is __import__("zlib").crc32
    for name, message in (
        ("zlib", "accepted are package.module:Name, and path/to/file.py:Name"),
        ("zlib:crc", "zlib has no `crc`; did you mean `crc32`"),
        ("nowhere.at_all:X", "can't be imported: No module named 'nowhere'"),
        ("mycodec_x:Mine", r"for a file write mycodec_x\.py:Mine"),
    ):
        with pytest.raises(PluginError, match=message):
            load_code(name)


def test_the_kit_checks_a_file(mine, qbench_command):
    done = qbench_command("check", "mine", "--plugin", str(mine), "--random", "0")
    assert "no codec or metric" not in done.stderr
    assert "codec mine" in done.stdout
    assert "ModuleNotFoundError" not in done.stdout
