"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import REPOSITORY, sample_pixels
from PIL import Image

GOOD = {"codecs": {"jpeg": {"quality": [10, 50]}}, "metrics": ["psnr", "bpp"]}


@pytest.fixture
def suite_file(photos):
    path = Path("suite.yaml")
    path.write_text(yaml.safe_dump({"name": "mine", "images": [{"folder": str(photos)}], **GOOD}, sort_keys=False))
    return path


def test_help_is_quick_and_loads_nothing_heavy(environment):
    command = [sys.executable, "-X", "importtime", "-m", "qbench", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"torch", "numpy", "PIL", "pydantic", "imagecodecs", "skimage", "pandas"}
    assert "run" in done.stdout


def test_planning_does_not_load_torch(environment, suite_file):
    code = """
import sys
sys.argv = ["qbench", "plan", "suite.yaml"]
from qbench.cli import app
try:
    app()
except SystemExit:
    pass
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)


def test_a_run_from_end_to_end(qbench_command, suite_file):
    done = qbench_command("run", suite_file)
    assert done.returncode == 0, done.stderr
    assert "3 images × 2 operating points = 6 cells" in done.stdout
    assert "jpeg:quality=50" in done.stdout
    assert "6/6 cells, 12/12 scores" in done.stderr
    again = qbench_command("run", suite_file)
    assert again.returncode == 0
    assert "6 of 6 cells and 12 of 12 scores already done" in again.stderr
    shown = qbench_command("show", "mine", "--format", "json", "--group-by", "codec")
    assert json.loads(shown.stdout)["rows"][0]["cells"] == 6
    scored = qbench_command("score", "mine", "--metrics", "mse,ssim")
    assert scored.returncode == 0, scored.stderr
    assert "ssim" in scored.stdout
    assert "mse" in qbench_command("show", "mine", "--format", "csv").stdout.splitlines()[0]


def test_plan_prints_and_runs_nothing(qbench_command, suite_file):
    done = qbench_command("plan", suite_file, "--cells")
    assert done.returncode == 0
    assert "3 images × 2 operating points = 6 cells" in done.stdout
    assert done.stdout.count("jpeg:quality=10") == 3
    assert not Path("runs").exists()


def test_set_profile_and_seed(qbench_command, suite_file):
    done = qbench_command("plan", suite_file, "--set", "codecs.jpeg.quality=[1,2,3]", "--profile", "hub", "--seed", "7")
    assert "3 images × 3 operating points = 9 cells" in done.stdout
    assert "profile hub · seed 7" in done.stdout


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "csv", "json", "parquet"])
def test_show_writes_every_format(qbench_command, suite_file, form):
    qbench_command("run", suite_file, "-q")
    assert qbench_command("show", "mine", "-f", form, "-o", "out").returncode == 0
    assert Path("out").stat().st_size > 100


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "csv", "json"])
def test_every_table_comes_in_every_format(qbench_command, suite_file, form):
    qbench_command("run", suite_file, "-q", "--set", "timing.exclusive=true")
    for view, expected in (
        (["--pooled"], "PSNR of the MSE over all pixels"),
        (["--pooled", "-g", "codec"], "PSNR of the MSE over all pixels"),
        (["--timings"], "exclusive"),
    ):
        shown = qbench_command("show", "mine", *view, "-f", form)
        assert shown.returncode == 0
        assert expected in shown.stdout


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (["--timings", "--complexity"], "--timings and --complexity are different tables; ask for one at a time"),
        (["--cells", "--pooled", "-g", "codec"], "--cells and --group-by with --pooled are different tables"),
        (["--failures", "--sort", "bpp"], "--sort does not apply to --failures"),
    ],
)
def test_tables_that_exclude_one_another(qbench_command, view, message):
    shown = qbench_command("show", "mine", *view)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert message in shown.stderr


@pytest.mark.parametrize("form", ["table", "csv"])
def test_a_table_of_nothing_says_so(qbench_command, suite_file, form):
    qbench_command("run", suite_file, "-q")
    shown = qbench_command("show", "mine", "--complexity", "-f", form)
    assert (shown.returncode, shown.stdout.strip()) == (0, "")
    assert "no codec in this run states its complexity" in shown.stderr


def test_failures_give_exit_code_1_and_are_shown(qbench_command, suite_file, photos):
    suite = yaml.safe_load(suite_file.read_text())
    suite["codecs"]["shift"] = {"fail_on": 51}
    suite_file.write_text(yaml.safe_dump(suite))
    done = qbench_command("run", suite_file)
    assert done.returncode == 1
    assert "failed: p1 · shift · codec shift, plugin toys (toys 1.0): told to fail on width 51" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "1 failed" in done.stdout
    shown = qbench_command("show", "mine", "--failures").stdout
    assert "RuntimeError: told to fail on width 51" in shown
    assert "Traceback" in shown
    assert qbench_command("run", suite_file, "--fail-fast", "-o", "other", "--no-cache").returncode == 1
    assert qbench_command("run", suite_file, "--retry-failed").returncode == 1


def refused(done):
    """Assert that bad input was refused in good form; return the message."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [{"folder": "nowhere"}]}, "nowhere: no such folder"),
        ({"codecs": {"jpg": None}}, "suite.yaml:1:"),
        ({"codecs": {"jpeg": {"quality": 500}}}, "500 is not accepted; accepted: integer from 1 to 100"),
        ({"metrics": []}, "`metrics` is missing or empty"),
        ({"images": [{"dataset": "kodak"}]}, "qbench datasets pull kodak"),
    ],
)
def test_bad_suites(qbench_command, suite_file, change, message):
    suite_file.write_text(json.dumps({**yaml.safe_load(suite_file.read_text()), **change}))  # JSON is YAML
    for command in ("run", "plan"):
        assert message in refused(qbench_command(command, suite_file))


def test_other_bad_input(qbench_command, suite_file, tmp_path):
    assert "can't read the suite" in refused(qbench_command("run", "none.yaml"))
    assert "unknown device `gpu`" in refused(qbench_command("run", suite_file, "--device", "gpu"))
    assert "not accepted" in refused(qbench_command("run", suite_file, "--jobs", "0"))
    (tmp_path / "file").write_text("")
    assert "can't write the run folder" in refused(qbench_command("run", suite_file, "-o", tmp_path / "file" / "x"))
    assert "no run in this folder" in refused(qbench_command("show", "none"))
    assert "no run in this folder" in refused(qbench_command("score", "none", "-m", "psnr"))
    assert "did you mean `jpeg`?" in refused(qbench_command("plugins", "show", "jpge"))
    assert "unknown dataset `kodack`; did you mean `kodak`?" in refused(qbench_command("datasets", "pull", "kodack"))
    qbench_command("run", suite_file, "-q")
    assert "unknown format `jsno`; did you mean `json`?" in refused(qbench_command("show", "mine", "-f", "jsno"))
    assert "no column `pnsr`" in refused(qbench_command("show", "mine", "-s", "pnsr"))
    assert "name a file with --output" in refused(qbench_command("show", "mine", "-f", "parquet"))
    assert "can't write" in refused(qbench_command("show", "mine", "-f", "csv", "-o", tmp_path / "no" / "x"))
    assert "unknown metric `ms-sim`; did you mean `ms-ssim`?" in refused(
        qbench_command("score", "mine", "-m", "ms-sim")
    )


def test_a_full_disk_is_said_and_the_run_goes_on_later(qbench_command, suite_file):
    # A limit on the size of files stands in for a full disk: the journal outgrows it, which images in memory don't.
    options = ["--no-cache", "--set", "keep.reconstructions=false", "--set", f"codecs.jpeg.quality={[*range(1, 31)]}"]
    limited = "ulimit -f 32; exec "
    command = f"{limited} {shlex.join([sys.executable, '-m', 'qbench', 'run', str(suite_file), '-o', 'run', *options])}"
    # It must not cut compiled modules short, which other processes would load.
    environment = {**os.environ, "QBENCH_HOME": str(Path("home").resolve()), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        ["bash", "-c", "trap '' XFSZ; " + command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "can't write the run's journal: File too large" in done.stderr
    assert "rerun the same command to resume" in done.stderr
    assert "Traceback" not in done.stderr
    on = qbench_command("run", suite_file, "-o", "run", *options)
    assert on.returncode == 0, on.stderr


def test_a_second_process_is_refused(environment, suite_file, qbench_command, tmp_path):
    suite = yaml.safe_load(suite_file.read_text())
    suite["codecs"] = {"shift": {"seconds": 60.0, "log": str(tmp_path / "log")}}
    suite_file.write_text(yaml.safe_dump(suite))
    first = subprocess.Popen(
        [sys.executable, "-m", "qbench", "run", str(suite_file)], env=environment, stderr=subprocess.PIPE
    )
    try:
        while not list(Path("runs").glob("*/lock.owner")):
            assert first.poll() is None
            time.sleep(0.05)
        assert f"another process is executing this run (pid {first.pid} on" in refused(
            qbench_command("run", suite_file)
        )
    finally:
        first.kill()
        first.wait()
        first.stderr.close()


def test_plugins_are_listed_and_described(qbench_command):
    listed = qbench_command("plugins")
    assert listed.returncode == 0
    assert all(name in listed.stdout for name in ("codecs: ", "jpeg-thesis-exact", "vit-score"))
    assert "toys 1.0" in listed.stdout
    shown = qbench_command("plugins", "show", "jpeg").stdout
    assert "integer from 1 to 100" in shown
    assert "4:2:0" in shown
    assert "libjpeg-turbo" in shown
    assert "Wang" in qbench_command("plugins", "show", "ssim").stdout


def test_a_broken_plugin_is_listed_and_named_where_it_is_missed(qbench_command, environment, suite_file, tmp_path):
    site = tmp_path / "broken"
    information = site / "half_done-0.3.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: half-done\nVersion: 0.3\n")
    (information / "entry_points.txt").write_text("[qbench]\nhalf = half_done\n")
    (site / "half_done.py").write_text("import a_library_that_is_not_there\n")
    env = {**environment, "PYTHONPATH": f"{environment['PYTHONPATH']}:{site}"}
    listed = qbench_command("plugins", env=env)
    assert listed.returncode == 1
    assert "broken" in listed.stdout
    assert "No module named 'a_library_that_is_not_there'" in listed.stdout
    assert qbench_command("plan", suite_file, env=env).returncode == 0  # the others work
    suite_file.write_text(suite_file.read_text().replace("jpeg:", "half-codec:"))
    assert "note: plugin half (half-done 0.3) is broken" in refused(qbench_command("plan", suite_file, env=env))


def test_schema_is_json(qbench_command):
    assert json.loads(qbench_command("schema").stdout)["title"] == "qbench suite"


def test_datasets_are_listed(qbench_command):
    assert "qbench datasets pull kodak" in " ".join(qbench_command("datasets").stdout.split())


def test_the_cache_can_be_looked_at_and_emptied(qbench_command, suite_file):
    qbench_command("run", suite_file, "-q")
    assert "6 cells, 12 scores" in qbench_command("cache", "info").stdout
    qbench_command("cache", "clear")
    assert "0 cells, 0 scores" in qbench_command("cache", "info").stdout


def test_reading_only_the_beginning_is_fine(qbench_command, suite_file, environment):
    qbench_command("run", suite_file, "-q")
    command = f"'{sys.executable}' -m qbench show mine -f csv | head -c 5"
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_smoke_suite_of_the_repository(qbench_command):
    done = qbench_command("run", REPOSITORY / "suites" / "smoke.yaml", "-o", "smoke")
    assert done.returncode == 0, done.stderr
    kept = sorted(Path("smoke/reconstructions").rglob("*.png"))
    assert kept
    for path in kept:
        assert np.asarray(Image.open(path)).shape == (512, 512, 3)


def test_hostile_names_are_shown_and_stored_harmlessly(qbench_command, tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in ("[bold]x.png", "<script>alert(1)<.png", "a;rm -rf $HOME.png", "ünï ©.png"):
        Image.fromarray(sample_pixels(24, 24)).save(folder / name)
    suite = {"name": "$(x)", "description": "[red]not markup[/red]", "images": [{"folder": str(folder)}], **GOOD}
    Path("s.yaml").write_text(yaml.safe_dump(suite))
    done = qbench_command("run", "s.yaml", "-o", "out")
    assert done.returncode == 0, done.stderr
    for text in ("[bold]x", "<script>alert(1)<", "a;rm -rf $HOME", "ünï ©", "[red]not markup[/red]", "$(x)"):
        assert text in done.stdout
    assert len(list(Path("out/bitstreams").rglob("*.jpg"))) == 8


@pytest.mark.slow
def test_explain_shows_labels_and_writes_json(qbench_command, photos):
    suite = Path("vit.yaml")
    suite.write_text(
        f"images: [{{folder: {photos}, limit: 1}}]\ncodecs: {{jpeg: {{quality: 5}}}}\nmetrics: [bpp, vit-score]\n"
    )
    done = qbench_command("run", suite, "-o", "run", "--no-cache")
    assert done.returncode == 0, done.stderr
    assert "vit-score: vit-tiny-imagenet (" in done.stdout
    shown = qbench_command("explain", "run", "--image", "p0", "--point", "jpeg")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^shared labels \(\d+\)", shown.stdout, re.MULTILINE)
    written = qbench_command("explain", "run", "--image", "p0", "--point", "jpeg", "-f", "json")
    explained = json.loads(written.stdout)
    assert explained["facts"]["K"] == "20 of 200 labels"
    assert sum(len(table["rows"]) for table in explained["tables"][:2]) == 20
    for wrong in (["--image", "p9"], ["--image", "p0", "-f", "yaml"]):
        refused = qbench_command("explain", "run", "--point", "jpeg", *wrong)
        assert refused.returncode == 2
        assert refused.stderr.startswith("error: ")
        assert "Traceback" not in refused.stderr


def test_explain_writes_a_metrics_maps(qbench_command, photos):
    suite = Path("maps.yaml")
    suite.write_text(
        f"images: [{{folder: {photos}, limit: 1}}]\ncodecs: {{shift: {{bits: 3}}}}\nmetrics: [bpp, mapped]\n"
    )
    assert qbench_command("run", suite, "-o", "run", "--no-cache").returncode == 0
    cell = ("explain", "run", "--image", "p0", "--point", "shift")
    shown = qbench_command(*cell, "-o", "maps/new")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[1:] == ["largest  7", "map.pgm  where it is"]
    assert shown.stderr == f"{Path('maps/new/map.pgm')}\n"
    with Image.open("maps/new/map.pgm") as map_image:
        assert map_image.getextrema() == (0, 7)
    written = json.loads(qbench_command(*cell, "-f", "json").stdout)
    assert written["artifacts"] == [{"name": "map.pgm", "summary": "where it is"}]
    Path("file").touch()
    refused = qbench_command(*cell, "-o", "file")
    assert (refused.returncode, refused.stderr) == (2, "error: file: can't write: File exists\n")
    assert qbench_command("report", "run", "-o", "r.html").returncode == 0
