"""Runs as jobs of a real Slurm, of one node, that the tests start."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import results_of
from slurm import lacking, slurm, told, wait_for

import qbench

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(lacking()), reason=lacking() or "-")]

OF_ONE_CORE = ["--cluster-option", "cores=1", "--cluster-option", "memory=1GB"]


@pytest.fixture(scope="module")
def queue(tmp_path_factory):
    with contextlib.ExitStack() as left:
        try:
            environment = left.enter_context(slurm(tmp_path_factory.mktemp("slurm")))
        except (OSError, RuntimeError) as error:  # a TimeoutError is an OSError
            pytest.skip(f"Slurm is installed, but does not start here: {error}")
        yield environment


@pytest.fixture
def call(queue, environment, tmp_path):
    """Run the command line where Slurm is."""
    site = environment["PYTHONPATH"]
    program = tmp_path / "bin" / "qbench"  # which scripts find, of this very environment
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qbench "$@"\n')
    program.chmod(0o755)
    paths = f"{program.parent}:{queue['PATH']}"
    settings = {**environment, **queue, "PYTHONPATH": site, "PATH": paths, "QBENCH_HOME": environment["QBENCH_HOME"]}

    def begin(*words, **options):
        command = [sys.executable, "-m", "qbench", *map(str, words)]
        return subprocess.Popen(
            command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
        )

    begin.environment = settings
    return begin


@pytest.fixture
def path(suite, tmp_path):
    suite["codecs"] = {"shift": {"bits": [1, 3]}, "jpeg": {"quality": [20, 80]}}
    suite["metrics"] = ["difference", "bpp", "psnr", "mean-shift"]
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(suite))
    return path


def test_as_jobs_of_dask(call, path, queue):
    whole = qbench.run(path, output="whole", jobs=1, cache=False)
    process = call("run", path, "-o", "run", "--no-cache", "--no-report", "-q", "--cluster", "slurm:2", *OF_ONE_CORE)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    made = qbench.load_run("run")
    assert results_of(made) == results_of(whole)
    (session,) = made.sessions
    assert session.provenance["cluster"]["scheduler"] == "slurm:2"
    wait_for(lambda: not told(queue, "squeue", "-h", "-t", "PENDING,RUNNING"))


def test_by_the_script_whose_last_job_puts_the_parts_together(call, path, queue):
    whole = qbench.run(path, output="whole", jobs=1, cache=False)
    said, _ = call("slurm-script", path, "--jobs", 3, "--cpus", 1, "--memory", "1G", "--time", "00:10:00").communicate()
    assert "small.sbatch: 3 jobs, of 12 cells; submit it with: sbatch small.sbatch" in said
    submitted = subprocess.run(
        ["sbatch", "--wait", "small.sbatch"],
        env=call.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    logs = "\n".join(log.read_text() for log in Path().glob("*.log"))
    assert submitted.returncode == 0, logs
    assert results_of(qbench.load_run("runs/small-slurm/merged")) == results_of(whole), logs


def test_a_job_whose_time_is_up_is_queued_again_and_goes_on(call, path, suite, queue):
    """Not after its limit, which is a minute at least: the signal that comes before it is sent at once."""
    suite["codecs"] = {"slow": {"codec": "faulty", "how": "sleep-a-little"}, "shift": {"bits": list(range(1, 8))}}
    suite["metrics"] = ["original-mean"]
    path.write_text(yaml.safe_dump(suite))
    call("slurm-script", path, "--jobs", 1, "--cpus", 1, "--memory", "1G").communicate()
    job = told(call.environment, "sbatch", "--parsable", "small.sbatch").strip()
    journal = Path("runs/small-slurm/1/journal.jsonl")
    wait_for(lambda: journal.exists() and b'"cell"' in journal.read_bytes())
    told(queue, "scancel", "--batch", "--signal=USR1", f"{job}_1")
    log = next(iter(Path().glob("*.log")))
    wait_for(lambda: "is queued again; it goes on where it stopped" in log.read_text(), 30)
    begun = len(qbench.load_run("runs/small-slurm/1").sessions)
    assert begun == 1
    # Slurm holds what is queued again back for two minutes.
    wait_for(lambda: "PENDING" in told(queue, "squeue", "-h", "-o", "%T", "-j", job), 30)
    told(queue, "scontrol", "update", f"JobId={job}_1", "StartTime=now")
    wait_for(lambda: Path("runs/small-slurm/merged/report.html").exists(), 120)
    made = qbench.load_run("runs/small-slurm/merged")
    assert made.complete
    assert len(made.sessions) == 2


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_leaves_no_job_in_the_queue(call, path, queue, times):
    wanting = ["--cluster-option", "cores=4000", "--cluster-option", "memory=1GB"]
    process = call("run", path, "-o", "run", "--cluster", "slurm:2", *wanting)
    wait_for(lambda: told(queue, "squeue", "-h", "-t", "PENDING").count("\n") == 2, 30)
    time.sleep(0.5)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    wait_for(lambda: not told(queue, "squeue", "-h", "-t", "PENDING,RUNNING"), 10)
    assert not Path("run").exists()


def test_a_job_that_is_refused_is_told(call, path):
    process = call(
        "run", path, "--cluster", "slurm", "--cluster-option", "cores=1", "--cluster-option", "memory=9000GB"
    )
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "its jobs are not accepted" in said
    assert "sbatch: error: " in said
    shutil.rmtree("runs", ignore_errors=True)
