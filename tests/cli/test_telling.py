"""How a run was made, and what is here."""

from __future__ import annotations

import csv
import io
import json
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
from one_file import RAW

import qbench


@pytest.fixture
def run(photos, tmp_path):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "mine.py").write_text(RAW)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    suite = {
        "name": "told",
        "images": [{"folder": str(photos)}],
        "codecs": {"mine": {}, "webp": {"quality": [20, 80]}},
        "metrics": ["psnr"],
        "timing": {"exclusive": True},
    }
    return qbench.run(suite, output="run", plugins=[folder / "mine.py"], jobs=1)


def test_how_a_run_was_made(run, photos, qbench_command):
    done = qbench_command("info", "run", "-f", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["suite"], found["plan"], found["complete"]) == ("told", run.plan.key(), True)
    assert found["images"][0]["from"].startswith(str(photos))
    [mine, *webps] = found["codecs"]
    assert mine["plugin"] == "mine (mine.py file)"
    assert len(mine["code"]["plugin"]) == 64
    assert [each["settings"]["quality"] for each in webps] == [20, 80]
    assert webps[0]["settings"]["method"] is not None  # resolved, not only what the suite says
    [session] = found["sessions"]
    assert session["host"] == socket.gethostname()
    assert len(session["commits"]["code"]) == 40
    assert found["timing"]["exclusive"] is True
    text = qbench_command("info", "run").stdout
    assert "webp: webp (quality 20, 80" in " ".join(text.split())


def test_nothing_tells_who_it_was(run, photos, qbench_command):
    for form in ("json", "table"):
        text = qbench_command("info", "run", "--anonymous", "-f", form).stdout
        assert socket.gethostname() not in text.split()
        assert str(photos) not in text
        assert str(Path.cwd()) not in text
        assert "p0.png" in text


def test_what_is_missing_is_said(photos, qbench_command):
    suite = {
        "images": [{"folder": str(photos)}],
        "codecs": {"jpeg": {"quality": [20, 80]}},
        "metrics": ["psnr"],
        "keep": {"bitstreams": False, "reconstructions": False},
    }
    stop = qbench.Stop()
    stop.set("enough")
    qbench.run(suite, output="stopped", jobs=1, stop=stop)
    text = qbench_command("info", "stopped").stdout
    assert "6 of 6 cells are not coded yet" in text
    assert "bitstreams were not kept" in text
    assert "complete: no" in text


def test_bad_input(run, qbench_command):
    assert "unknown format `yaml`" in qbench_command("info", "run", "-f", "yaml").stderr
    assert qbench_command("info", "nothing").returncode == 2
    assert "unknown format `yaml`" in qbench_command("doctor", "-f", "yaml").stderr


def test_what_is_here(qbench_command):
    found = json.loads(qbench_command("doctor", "-f", "json").stdout)
    assert found["software"]["qbench"] == qbench.__version__
    assert found["software"]["numpy"] == np.__version__
    assert found["machine"]["cores"] >= 1
    assert "classical (qbench" in "".join(found["plugins"])
    assert found["extras"]["pandas"].startswith("there: ")
    assert set(found) == {"software", "machine", "space", "plugins", "extras", "programs"}
    assert "plugins\n  " in qbench_command("doctor").stdout


def test_every_extra_is_told():
    import re
    from importlib.metadata import metadata

    from qbench.api.doctor import EXTRAS

    known = {re.sub(r"[-_.]+", "-", name) for name in metadata("qbench").get_all("Provides-Extra")}
    assert known == set(EXTRAS)


def test_times_with_their_spread(run, qbench_command):
    rows = list(csv.DictReader(io.StringIO(qbench_command("show", "run", "--timings", "-f", "csv").stdout)))
    assert [row["point"] for row in rows] == ["mine", "webp:quality=20", "webp:quality=80"]
    for row in rows:
        cells = [each.cell for each in run.rows if each.point == row["point"]]
        sizes = {image.name: image.pixels for image in run.plan.images}
        rates = [sizes[cell.image] / 1e6 / cell.timing.encode.seconds for cell in cells]
        low, middle, high = np.percentile(rates, [25, 50, 75])
        assert float(row["encode_mp_per_second"]) == pytest.approx(middle)
        assert float(row["encode_mp_per_second.q1"]) == pytest.approx(low)
        assert float(row["encode_mp_per_second.q3"]) == pytest.approx(high)
        assert row["repeats.max"] == "3"
        assert row["run"] == "run"
    assert "MP/s" in qbench_command("show", "run", "--timings").stdout


def test_plugins_by_kind(qbench_command):
    done = qbench_command("plugins", "codecs")
    assert done.returncode == 0
    names = [line.split()[0] for line in done.stdout.splitlines() if line.startswith(" ") and line.strip()]
    assert {"jpeg", "webp", "avif"} <= set(names)
    assert "psnr" in qbench_command("plugins", "metrics").stdout
    for kind in ("generators", "losses", "datasets", "recipes", "formats"):
        assert qbench_command("plugins", kind).returncode == 0
    refused = qbench_command("plugins", "show", "jpge")
    assert refused.returncode == 2
    assert "nothing is named `jpge`; did you mean `jpeg`?" in refused.stderr
    assert "qbench plugins codecs|metrics" in refused.stderr


def test_a_setting_that_was_found_is_in_the_table(photos, qbench_command):
    suite = {
        "images": [{"folder": str(photos)}],
        "codecs": {"jpeg": {"target": {"psnr": 25}}},
        "metrics": ["psnr"],
    }
    run = qbench.run(suite, output="searched", jobs=1)
    value = run.rows[0].cell.found.value
    assert f"jpeg:target.psnr=25 (quality {value:g})" in qbench_command("show", "searched").stdout


def test_runs_are_compared_by_every_main_metric(photos, qbench_command):
    suite = {
        "images": [{"folder": str(photos)}],
        "codecs": {"jpeg": {"quality": [10, 30, 60, 90]}},
        "metrics": ["psnr", "mse"],
    }
    for name in ("one", "other"):
        qbench.run(suite, output=name, jobs=1)
    found = json.loads(qbench_command("compare", "one", "other", "-f", "json").stdout)
    assert [each["metric"] for each in found["bd_rates"]] == ["psnr", "mse"]
