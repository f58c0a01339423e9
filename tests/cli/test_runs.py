"""Runs on the command line: reports, lists, completion, other tools' results."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

CURVES = {"codecs": {"jpeg": {"quality": [10, 30, 60, 90]}}, "metrics": ["bpp", "psnr"]}


@pytest.fixture
def done(qbench_command, photos):
    """A run named mine-…, made from the command line."""
    Path("suite.yaml").write_text(yaml.safe_dump({"name": "mine", "images": [{"folder": str(photos)}], **CURVES}))
    ended = qbench_command("run", "suite.yaml", "-q")
    assert ended.returncode == 0, ended.stderr
    return ended


def test_every_run_ends_with_a_report(done, qbench_command):
    [folder] = Path("runs").iterdir()
    assert f"report: {folder}/report.html" in done.stdout
    assert (folder / "report.html").stat().st_size > 50_000
    written = qbench_command("report", "mine", "-o", "mine.html")
    assert written.stdout == "mine.html\n"
    assert b'"suite":"mine"' in Path("mine.html").read_bytes()
    again = qbench_command("run", "suite.yaml", "-q", "--no-report", "-o", "other")
    assert "report:" not in again.stdout
    assert not Path("other/report.html").exists()


def test_a_report_is_written_again_only_where_something_is_new(done, qbench_command):
    [folder] = Path("runs").iterdir()
    page = folder / "report.html"
    first = page.stat().st_mtime_ns
    again = qbench_command("run", "suite.yaml", "-q")
    assert f"report: {page}" in again.stdout
    assert page.stat().st_mtime_ns == first
    qbench_command("score", folder, "--metrics", "mse", "-q")
    assert page.stat().st_mtime_ns > first
    mark, whole = f"qbench {version('qbench')}", page.read_text()
    for other in (whole.replace(mark, "qbench 0.0", 1), whole[: len(whole) // 2], ""):
        page.write_text(other)
        qbench_command("run", "suite.yaml", "-q")
        assert page.read_text() == whole
    shutil.copytree(folder, "copied")
    qbench_command("run", "suite.yaml", "-q", "-o", "copied")
    assert '"name":"copied"' in Path("copied/report.html").read_text()


def test_a_report_that_can_not_be_written_loses_nothing(qbench_command, photos):
    Path("suite.yaml").write_text(yaml.safe_dump({"name": "mine", "images": [{"folder": str(photos)}], **CURVES}))
    Path("run/report.html").mkdir(parents=True)
    ended = qbench_command("run", "suite.yaml", "-q", "-o", "run")
    assert ended.returncode == 1, ended.stderr
    assert "no report: run/report.html: can't write" in ended.stdout
    refused = qbench_command("report", "run", "nothing")
    assert refused.returncode == 2
    assert "nothing: no run in this folder" in refused.stderr


def test_runs_are_listed_and_completed(done, qbench_command, environment):
    [folder] = Path("runs").iterdir()
    Path("runs/other-000000").mkdir()
    Path("runs/other-000000/journal.jsonl").write_text("damaged")
    listed = qbench_command("runs")
    assert folder.name in listed.stdout
    assert "complete" in listed.stdout
    completing = {
        **environment,
        "_QBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": "qbench show mi",
        "COMP_CWORD": "2",
    }
    command = [sys.executable, "-c", "from qbench.cli import app; app(prog_name='qbench')"]
    found = subprocess.run(command, env={**os.environ, **completing}, capture_output=True, text=True, check=False)
    assert found.stdout.split() == [folder.name]


def test_no_runs(qbench_command):
    assert qbench_command("runs").stdout == "no runs in runs/ yet: qbench run SUITE makes one\n"


def test_published_curves_are_laid_over_ours(done, qbench_command):
    results = {"bpp": [0.5, 1, 2, 4], "psnr": [26, 29, 33, 38], "ms-ssim": [9.0, 12, 15, 18]}
    Path("theirs.json").write_text(json.dumps({"name": "theirs", "results": results}))
    imported = qbench_command("import", "theirs.json", "--as", "published")
    assert imported.returncode == 0, imported.stderr
    assert imported.stdout == "run folder: runs/published\n"
    assert imported.stderr == "note: theirs: `ms-ssim` is above 1, so it is in decibels: ms-ssim.db\n"
    shown = qbench_command("show", "published", "-f", "csv")
    assert "theirs:point=2" in shown.stdout
    plotted = qbench_command("plot", "mine", "published", "--metric", "psnr", "-o", "rd.svg")
    assert plotted.returncode == 0, plotted.stderr
    assert "note: published: computed by another program, over other images" in plotted.stderr
    assert {"jpeg", "theirs"} <= set(re.findall(r"<text[^>]*>([^<]+)</text>", Path("rd.svg").read_text()))
    refused = qbench_command("compare", "mine", "published")
    assert refused.returncode == 2
    assert "differs between mine-" in refused.stderr
    assert "that of published was computed by another program" in refused.stderr
    assert qbench_command("report", "mine", "published", "-o", "both.html").returncode == 0


def test_exports_and_refusals(done, qbench_command):
    written = qbench_command("export", "mine", "-f", "codec-compare", "-o", "batches")
    assert written.stdout.splitlines() == ["batches/jpeg.json", "batches/batches.json"]
    assert qbench_command("import", "batches/batches.json", "--as", "all").returncode == 0  # the index means its files
    for arguments, message in (
        (["export", "mine", "-f", "csv2", "-o", "x"], "unknown format `csv2`"),
        (["export", "mine", "-f", "compressai", "-o", "suite.yaml"], "suite.yaml: can't write"),
        (["import", "nothing.json", "--as", "x"], "nothing.json: can't read"),
        (["import", "suite.yaml", "--as", "x"], "suite.yaml: not JSON"),
        (["import", "batches/jpeg.json", "--as", "x", "-f", "compressai"], "no `results`"),
    ):
        refused = qbench_command(*arguments)
        assert refused.returncode == 2, arguments
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr
