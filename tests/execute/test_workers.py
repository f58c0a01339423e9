"""Worker processes: the same results as in one process, and what happens when one dies."""

from __future__ import annotations

import subprocess
import sys

import pytest
import toys

import qbench
from qbench.errors import PluginError
from qbench.execute.work import Notice
from qbench.registry.registry import default_registry
from qbench.results.run import Status


def run(suite, **options):
    suite = {**suite, "metrics": [each for each in suite["metrics"] if each != "psnr"]}  # loads torch in every worker
    return qbench.run(suite, **{"output": "run", "cache": False, "jobs": 2, **options})


def test_workers_measure_what_one_process_measures(suite, installed):
    two = run(suite)
    one = run(suite, output="one", jobs=1)
    assert two.complete
    assert [row.entries for row in two.rows] == [row.entries for row in one.rows]
    assert [row.cell.bitstream_sha256 for row in two.rows] == [row.cell.bitstream_sha256 for row in one.rows]
    assert {row.cell.timing.concurrent_load for row in two.rows} == {"1 other worker"}
    assert {row.cell.timing.threads for row in two.rows} == {max(1, qbench_cores() // 2)}


def qbench_cores():
    from qbench.execute.device import available_cores

    return available_cores()


def test_failures_in_workers_keep_their_traceback(suite, installed):
    suite["codecs"]["shift"]["fail_on"] = 51
    done = run(suite)
    assert {note.image for note in done.failures} == {"p1"}
    assert "RuntimeError: told to fail on width 51" in done.failures[0].traceback


def test_a_worker_that_dies_takes_only_the_cell_in_its_hands_along(suite, installed):
    suite["codecs"] = {"shift": {"bits": [1, 2]}, "misbehave": {"how": "crash"}, "after": {"codec": "shift", "bits": 4}}
    notices = []
    done = run(suite, on_event=lambda event: notices.append(event.text) if isinstance(event, Notice) else None)
    assert done.complete
    statuses = {row.point: row.status for row in done.rows}
    assert statuses == {
        "shift:bits=1": Status.OK,
        "shift:bits=2": Status.OK,
        "misbehave": Status.FAILED,
        "after": Status.OK,
    }
    assert all(
        entry.status is Status.OK for row in done.rows if row.codec != "misbehave" for entry in row.entries.values()
    )
    assert len(done.failures) == 3
    assert done.failures[0].message == "the worker process was killed by SIGSEGV"
    assert done.failures[0].what == "codec misbehave, plugin toys (toys 1.0)"
    assert len(notices) == 3


def test_a_metric_that_kills_its_worker_is_blamed(suite, installed):
    suite["metrics"] = ["bpp", {"oddity": {"how": "crash"}}, "difference"]
    done = run(suite)
    assert done.complete
    for row in done.rows:
        assert row.status is Status.OK
        assert row.entries["bpp"].status is row.entries["difference"].status is Status.OK
        assert row.entries["oddity"].status is Status.FAILED
    assert done.failures[0].message == "the worker process was killed by SIGKILL"


@pytest.mark.slow
def test_a_decoder_that_kills_its_worker_again_and_again_is_given_up(suite, installed, monkeypatch):
    suite["keep"] = {"reconstructions": False}
    run(suite)
    monkeypatch.setenv("TOYS_CRASH_WHEN_DECODING", "yes")  # a library that was updated, say
    scored = qbench.score("run", ["mse"], jobs=2, cache=False)
    assert scored.complete
    for row in scored.rows:
        assert row.status is Status.OK
        assert row.entries["difference"].status is Status.OK
        assert row.entries["mse"].status is Status.FAILED


def test_fail_fast_stops_the_workers(suite, installed):
    suite["codecs"] = {"shift": {"bits": [1, 2, 3], "seconds": 0.2, "fail_on": 64}}
    part = run(suite, fail_fast=True)
    assert part.failures
    assert not part.complete


def test_more_jobs_than_images_start_no_idle_workers(suite, installed):
    suite["images"][0]["limit"] = 1
    done = run(suite, jobs=8)
    assert done.sessions[0].provenance["jobs"] == 1


def test_auto_takes_the_cores_there_are(suite, installed):
    assert run(suite, jobs="auto").sessions[0].provenance["jobs"] == min(qbench_cores(), 3)


def test_a_registry_of_ones_own_can_not_go_to_workers(suite, registry):
    with pytest.raises(PluginError, match="use jobs=1"):
        run(suite, registry=registry)


def test_a_script_without_a_main_guard_is_told(suite, environment, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"import qbench\nqbench.run({suite!r}, jobs=2, output='x')\n")
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert "before it was ready" in done.stderr
    assert "if __name__ == '__main__'" in done.stderr


def test_toys_are_the_installed_ones(installed):
    assert toys.Shift.name in default_registry().codecs
