"""Commands for runs in parts, and for clusters."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import results_of

import qbench


@pytest.fixture
def path(suite):
    suite["metrics"] = ["difference", "bpp", "mean-shift"]
    path = Path("suite.yaml")
    path.write_text(yaml.safe_dump(suite))
    return path


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_shards_and_merging_them(qbench_command, path):
    whole = qbench.run(path, output="whole", cache=False, jobs=1)
    for number in (1, 2):
        made = qbench_command("run", path, "--shard", f"{number}/2", "--no-cache", "-j", 1)
        assert made.returncode == 0
        assert f"shard {number}/2 is done; `qbench merge RUN… -o FOLDER` puts shards together" in made.stdout
        assert "Cells" not in made.stdout
    parts = sorted(Path("runs").glob("small-*-shard-*-of-2"))
    assert len(parts) == 2
    assert not any((part / "report.html").exists() for part in parts)
    alone = qbench_command("merge", parts[0], "-o", "alone", "--no-report", "-q")
    assert alone.returncode == 1
    assert "incomplete; go on with: qbench run SUITE -o alone" in alone.stdout
    made = qbench_command("merge", *parts, "-o", "merged", "-j", 1)
    assert made.returncode == 0
    assert "Cells" in made.stdout
    assert Path("merged/report.html").exists()
    assert results_of(qbench.load_run("merged")) == results_of(whole)
    again = qbench_command("merge", *parts, "-o", "merged")
    assert again.returncode == 2
    assert "merged: exists already" in again.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "suite.yaml", "--shard", "3"), "accepted is NUMBER/COUNT"),
        (("run", "suite.yaml", "--cluster", "local:two"), "not known; accepted: local, local:N"),
        (("run", "suite.yaml", "--cluster", "slurm", "--cluster-option", "queue"), "accepted is NAME=VALUE"),
        (("run", "suite.yaml", "--cluster", "local:2", "--in-process"), "leave one of the two out"),
        (("merge", "nowhere", "-o", "merged"), "no run in this folder"),
        (("run", "suite.yaml", "--columns", "psn"), "no column `psn`"),
        (("run", "suite.yaml", "--anchor", "jpg"), "no codec `jpg`"),
        (("slurm-script", "nowhere.yaml"), "nowhere.yaml"),
        (("slurm-script", "suite.yaml", "--time", "soon"), "--time 'soon': not accepted"),
        (("slurm-script", "suite.yaml", "--memory", "lots of"), "--memory 'lots of': not accepted"),
        (("slurm-script", "suite.yaml", "--partition", "a\nb"), "--partition"),
        (("slurm-script", "suite.yaml", "--sbatch", "--account=x y"), "--sbatch"),
        (("run", "suite.yaml", "--cluster", ""), "not known; accepted"),
        (("run", "suite.yaml", "--cluster", "suite.yaml"), "is no scheduler file of Dask's"),
        (("run", "suite.yaml", "--cluster", "local:99999999999"), "not known; accepted"),
        (("run", "suite.yaml", "--cluster", "local:9999"), "at most 1024 workers"),
        (("run", "suite.yaml", "--cluster", "local:1", "--jobs", "3"), "--jobs is for this machine"),
        (("run", "suite.yaml", "--cluster-option", "queue=3"), "is of a --cluster, which is not given"),
        (("run", "suite.yaml", "--cluster", "slurm", "--cluster-option", "cores=0"), "accepted is a whole number"),
        (
            ("run", "suite.yaml", "--cluster", "slurm", "--cluster-option", "memory=1", "--cluster-option", "memory=2"),
            "memory: is given 2 times",
        ),
        (("slurm-script", "suite.yaml", "-o", "nowhere/x.sbatch"), "can't write"),
    ],
)
def test_bad_input_is_told(qbench_command, path, words, message):
    made = qbench_command(*words)
    assert made.returncode == 2
    assert message in made.stderr
    assert made.stderr.count("error:") == 1
    assert "Traceback" not in made.stderr


def test_the_script_is_one_that_a_shell_takes(qbench_command, path, suite):
    suite["name"] = "two words; rm -rf /"
    path.write_text(yaml.safe_dump(suite))
    words = ["--gpus", 4, "--partition", "gtx", "--time", "02:00:00", "--set", "codecs.shift.bits=[1, 2]"]
    made = qbench_command("slurm-script", path, *words, "--sbatch=--account=some", "-o", "-")
    assert made.returncode == 0
    for line in (
        "#SBATCH --array=1-4",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --partition=gtx",
        "#SBATCH --account=some",
        "#SBATCH --time=02:00:00",
        "#SBATCH --requeue",
        "#SBATCH --signal=B:USR1@60",
    ):
        assert line in made.stdout.splitlines()
    assert "qbench run suite.yaml --set 'codecs.shift.bits=[1, 2]' --shard" in made.stdout
    assert "; rm" not in made.stdout.partition("#SBATCH")[2]
    checked = subprocess.run(["bash", "-n"], input=made.stdout, text=True, check=False)
    assert checked.returncode == 0


def test_the_script_does_what_it_says_without_slurm(qbench_command, environment, path, tmp_path):
    """Its jobs, one after the other; the second one's time is up at once, and it is begun again by hand."""
    whole = qbench.run(path, output="whole", cache=False, jobs=1)
    assert qbench_command("slurm-script", path, "--jobs", 2).returncode == 0
    program = tmp_path / "bin" / "qbench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m qbench "$@"\n')
    program.chmod(0o755)
    settings = {**environment, "PATH": f"{program.parent}:{environment['PATH']}"}
    for number in (1, 2):
        command = ["bash", "small.sbatch"]
        subprocess.run(command, env={**settings, "SLURM_ARRAY_TASK_ID": str(number)}, check=True, capture_output=True)
    assert results_of(qbench.load_run("runs/small-slurm/merged")) == results_of(whole)


@pytest.mark.slow
def test_a_run_whose_time_is_up_says_how_it_goes_on(environment, path, suite):
    suite["codecs"] = {"slow": {"codec": "faulty", "how": "sleep"}}
    path.write_text(yaml.safe_dump(suite))
    command = [sys.executable, "-m", "qbench", "run", str(path), "-o", "run", "--requeue", "-q"]
    for more in ({}, {"SLURM_JOB_ID": "17"}):
        shutil.rmtree("run", ignore_errors=True)
        process = subprocess.Popen(command, env={**environment, **more}, stdout=subprocess.PIPE, text=True)
        while not Path("run/provenance.json").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGUSR1)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "it goes on with: qbench run suite.yaml -o run --requeue -q" in said
        assert ("scontrol requeue 17: " in said) == bool(more)
