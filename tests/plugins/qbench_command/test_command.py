"""Codecs that are programs."""

from __future__ import annotations

import json
import shutil
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY, sample_pixels
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import qbench
from qbench.errors import PluginError, SuiteError
from qbench.plugin import BitstreamError, Context, Image
from qbench_command.codec import CommandCodec, CommandParameters
from qbench_command.command import Template
from qbench_command.pictures import FORMATS, from_planes, read_picture, to_planes, write_picture

PROGRAM = """
import sys, time, zlib
import numpy as np
from PIL import Image
what, source, target, step = sys.argv[1:5]
if step == "13":
    print("unlucky", file=sys.stderr)
    sys.exit(7)
if step == "14":
    time.sleep(60)
if step == "15":
    sys.exit(0)
if what == "encode":
    pixels = np.array(Image.open(source).convert("RGB")) // int(step)
    open(target, "wb").write(np.array(pixels.shape, ">u2").tobytes() + zlib.compress(pixels.tobytes()))
else:
    data = open(source, "rb").read()
    pixels = np.frombuffer(zlib.decompress(data[6:]), np.uint8).reshape(np.frombuffer(data[:6], ">u2"))
    if step == "17":
        pixels = pixels[:-1]
    Image.fromarray(pixels * int(step)).save(target)
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def settings(program, **more):
    return {
        "codec": "command",
        "encode": f"{sys.executable} '{program}' encode {{input}} {{output}} {{step}}",
        "decode": f"{sys.executable} '{program}' decode {{input}} {{output}} {{step}}",
        **more,
    }


def suite(photos, entry, **more):
    return {"images": [{"folder": str(photos)}], "codecs": {"mine": entry}, "metrics": ["psnr"], **more}


def test_a_program_is_a_codec(program, photos):
    run = qbench.run(suite(photos, settings(program, arguments={"step": [4, 16]})), jobs=1)
    assert not run.failures
    assert [point.id for point in run.plan.points] == ["mine:step=4", "mine:step=16"]
    pixels = qbench.read_image(photos / "p0.png").pixels
    error = np.mean((pixels.astype(float) - pixels // 16 * 16) ** 2)
    row = next(row for row in run.rows if (row.image, row.point) == ("p0", "mine:step=16"))
    assert row.entries["psnr"].value == pytest.approx(10 * np.log10(255**2 / error))


def test_programs_and_scripts_are_part_of_the_identity(program, photos):
    entry = settings(program, arguments={"step": 4}, version=f"{sys.executable} --version")
    first = qbench.plan(suite(photos, entry)).points[0].identity
    assert {Path(sys.executable).name, "program.py"} <= set(first["code"])
    assert first["libraries"]["program"].startswith("Python 3.")
    program.write_text(PROGRAM + "\n# edited\n")
    assert qbench.plan(suite(photos, entry)).points[0].identity != first


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (13, "ended with exit code 7 and printed:\nunlucky"),
        (15, "the program ended well, but wrote nothing to {output}, and printed nothing"),
        (17, "decode returned <Image 64×47"),
    ],
)
def test_programs_that_fail_are_quoted(program, photos, step, message):
    run = qbench.run(suite(photos, settings(program, arguments={"step": step})), jobs=1)
    assert len(run.failures) == 3
    assert message in run.failures[0].message


def test_a_program_that_hangs_is_ended(program, photos):
    for path in sorted(photos.iterdir())[1:]:
        path.unlink()
    entry = settings(program, arguments={"step": 14}, limits={"seconds": 1})
    run = qbench.run(suite(photos, entry), jobs=1)
    assert "TimeLimit" in run.failures[0].message or "longer than" in run.failures[0].message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encode": "no-such-program {input} {output}"}, "encode: no program `no-such-program` is installed here"),
        ({"encode": ""}, "encode: write a command"),
        ({"decode": "cat {input}"}, "lacks {output}, the file it writes"),
        ({"decode": "cat {input} {outptu}"}, "unknown placeholder {outptu}"),
        ({"decode": "cat '{input} {output}"}, "can't be split into words"),
        ({"version": "no-such-program -v"}, "version: no program `no-such-program`"),
        ({"version": "true"}, "printed no version, and printed nothing"),
    ],
)
def test_commands_that_cant_work_are_refused_when_planned(program, photos, changes, message):
    with pytest.raises((PluginError, SuiteError)) as found:
        qbench.plan(suite(photos, {**settings(program, arguments={"step": 4}), **changes}))
    assert message in str(found.value)


def test_no_shell_sees_the_arguments(tmp_path):
    value = "$(touch x); `touch y` | > z"
    words = Template("encode", "printf {value} {output}").filled({"value": value, "output": "a b"})
    assert words[1:] == [value, "a b"]


def test_targets_search_the_quality(program, photos):
    for path in sorted(photos.iterdir())[1:]:
        path.unlink()
    entry = settings(program)
    entry = {
        name: value.replace("{step}", "{quality}") if isinstance(value, str) else value for name, value in entry.items()
    }
    entry |= {"quality_worst": 12, "quality_best": 1, "target": {"bpp": [14]}}
    run = qbench.run({**suite(photos, entry), "metrics": ["bpp", "psnr"]}, jobs=1)
    assert not run.failures
    [row] = run.rows
    pixels = qbench.read_image(next(photos.iterdir())).pixels

    def rate(step):
        return 8 * (6 + len(zlib.compress((pixels // step).tobytes()))) / (pixels.size / 3)

    found = int(row.cell.found.value)
    assert row.rate == pytest.approx(rate(found))
    assert abs(rate(found) - 14) == min(abs(rate(step) - 14) for step in range(1, 13))


def test_damage_is_the_decoders_to_tell(program):
    given = settings(program, arguments={"step": 4})
    del given["codec"]
    codec = CommandCodec(CommandParameters(**given), Context())
    with pytest.raises(BitstreamError, match="ended with exit code 1 and printed"):
        codec.decode(b"damaged")


@pytest.mark.parametrize("form", FORMATS)
def test_pictures_come_back(form, tmp_path):
    image = Image(sample_pixels(31, 20))
    write_picture(tmp_path / f"a.{form}", image, form)
    back = read_picture(tmp_path / f"a.{form}", form)
    difference = np.abs(back.pixels.astype(int) - image.pixels)
    assert difference.max() <= (3 if form == "y4m" else 0)  # 8-bit limited range can't hold all of RGB


@given(arrays(np.uint8, (4, 3, 3)))
def test_planes_are_those_of_bt709(pixels):
    planes = to_planes(pixels).astype(float)
    red, green, blue = (pixels[:, :, channel] / 255 for channel in range(3))
    assert np.abs(planes[0] - (16 + 219 * (0.2126 * red + 0.7152 * green + 0.0722 * blue))).max() <= 0.5 + 1e-9
    assert np.abs(from_planes(planes.astype(np.uint8)).astype(int) - pixels).max() <= 3


@given(st.binary(max_size=200))
def test_damaged_y4m_is_told(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("y4m") / "a.y4m"
    for content in (data, b"YUV4MPEG2 W4 H4 C444\nFRAME\n" + data[:20]):
        path.write_bytes(content)
        with pytest.raises(PluginError):
            read_picture(path, "y4m")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "program"), [("jpeg-xl", "cjxl"), ("webp", "cwebp"), ("avif", "avifenc"), ("x265", "ffmpeg")]
)
def test_suites_of_programs(name, program, qbench_command):
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    done = qbench_command("run", str(REPOSITORY / "suites" / "programs" / f"{name}.yaml"), "-q", "--no-report")
    assert done.returncode == 0, done.stderr
    run = qbench.load_run(done.stdout.split()[-1])
    for label in {point.label for point in run.plan.points}:
        means = [
            np.mean([row.entries["psnr"].value for row in run.rows if row.point == point.id])
            for point in run.plan.points
            if point.label == label
        ]
        assert min(means) > 24
        assert len({round(mean, 3) for mean in means}) == 4
    assert json.loads(json.dumps(run.plan.to_json()))


@pytest.mark.parametrize("name", ["vtm", "jpeg-ai"])
def test_suites_of_programs_that_are_not_here_say_so(name, qbench_command):
    done = qbench_command("plan", str(REPOSITORY / "suites" / "programs" / f"{name}.yaml"))
    assert done.returncode == 2
    assert "is installed here; install it, or write its path" in done.stderr
