"""Kill the process at random instants: nothing measured is lost, nothing is coded twice, the end is the same."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import yaml

import qbench
from qbench.store.journal import read_journal

POINTS = 6


@pytest.fixture
def files(suite, tmp_path):
    log = tmp_path / "coded"
    suite["codecs"] = {
        "shift": {"bits": list(range(POINTS)), "seconds": 0.05, "log": str(log)},
        "jpeg": {"quality": [5, 50]},
    }
    suite["metrics"] = [{"difference": {"seconds": 0.02}}, "compression-ratio", "bpp"]
    suite["timing"] = {"repeats": 1, "budget": 0.0}
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False))
    return path, log


def measured(path):
    """The final records, without what may differ: when, in which session, how long."""
    rows = []
    for row in qbench.load_run(path).rows:
        cell = row.cell.model_dump(exclude={"session", "at", "timing"})
        rows.append((json.dumps(cell), {name: entry.value for name, entry in row.entries.items()}))
    return rows


def start(path, output, environment, jobs):
    command = [sys.executable, "-m", "qbench", "run", path, "-o", output, "-q", "--no-cache", "--jobs", str(jobs)]
    return subprocess.Popen(
        list(map(str, command)),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("jobs", "kills"),
    [(1, 1), pytest.param(1, 12, marks=pytest.mark.slow), pytest.param(2, 12, marks=pytest.mark.slow)],
)
def test_killed_runs_go_on_and_end_the_same(files, tmp_path, environment, jobs, kills):
    path, log = files
    whole = start(path, tmp_path / "whole", environment, jobs)
    began = time.monotonic()
    assert whole.wait() == 0
    duration = time.monotonic() - began
    once = sorted(log.read_text().splitlines())
    log.unlink()

    rng = random.Random(jobs)
    killed = 0
    known: list[object] = []
    while killed < kills:
        process = start(path, tmp_path / "run", environment, jobs)
        try:
            process.wait(timeout=rng.uniform(0.2, 1.0) * duration * (0.5 if killed % 2 else 1.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        process.stderr.close()
        journal = tmp_path / "run" / "journal.jsonl"
        if journal.exists() and journal.stat().st_size:
            contents = read_journal(journal)
            assert not contents.damaged
            records = list(contents.records)
            assert records[: len(known)] == known  # nothing that was there is lost
            known = records
            if len([record for record in known if record.kind == "score"]) == len(measured(tmp_path / "whole")) * 4:
                # Finished before it could be killed: begin another one, to be killed more.
                for file in (tmp_path / "run").rglob("*"):
                    if file.is_file():
                        file.unlink()
                known = []
                log.unlink(missing_ok=True)
    last = start(path, tmp_path / "run", environment, jobs)
    assert last.wait() == 0, last.stderr.read().decode()
    last.stderr.close()
    whole.stderr.close()
    assert measured(tmp_path / "run") == measured(tmp_path / "whole")
    # Only cells in flight when a kill came were coded again: at most one per worker and kill.
    again = len(log.read_text().splitlines()) - len(once)
    assert 0 <= again <= killed * jobs
    assert sorted(set(log.read_text().splitlines())) == sorted(set(once))


@pytest.mark.parametrize(
    ("jobs", "number"),
    [
        (1, signal.SIGINT),
        pytest.param(2, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(2, signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_ends_in_good_order_and_says_how_to_go_on(files, tmp_path, environment, jobs, number):
    path, _ = files
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "qbench",
            "run",
            str(path),
            "-o",
            str(tmp_path / "run"),
            "--jobs",
            str(jobs),
            "--no-cache",
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    journal = tmp_path / "run" / "journal.jsonl"
    while not journal.exists() or journal.read_bytes().count(b'"kind":"cell"') < 3:
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, number)  # as terminals and batch systems do: to the whole group
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "finishing work in progress" in output
    assert f"incomplete; resume with: qbench run {path} -o {tmp_path / 'run'}" in output
    assert "Traceback" not in output
    part = qbench.load_run(tmp_path / "run")
    assert not part.complete
    assert not part.failures
    assert start(path, tmp_path / "run", environment, jobs).wait() == 0
    assert qbench.load_run(tmp_path / "run").complete


def test_workers_die_with_a_killed_parent(files, tmp_path, environment):
    path, log = files
    process = start(path, tmp_path / "run", environment, 2)
    while not log.exists():
        time.sleep(0.02)
    process.kill()
    process.wait()
    process.stderr.close()
    deadline = time.monotonic() + 20
    while _group_alive(process.pid):
        assert time.monotonic() < deadline, "worker processes outlived their parent"
        time.sleep(0.05)


def _group_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
