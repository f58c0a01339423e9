"""Stations: what they measure is what one process measures; and what codecs and metrics can't do to a run."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import toys

import qbench
from qbench.errors import PluginError, SuiteError
from qbench.execute.cores import available_cores
from qbench.execute.limits import processes_marked
from qbench.execute.station import MARK
from qbench.execute.verifying import Verdict
from qbench.execute.work import Notice, Recorded, Stop
from qbench.registry.registry import default_registry
from qbench.results.run import Status

JOBS = pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.slow), 2])


def run(suite, **options):
    return qbench.run(suite, **{"output": "run", "cache": False, "jobs": 2, **options})


@pytest.fixture
def small(suite):
    """Without metrics that load torch."""
    return {**suite, "metrics": [each for each in suite["metrics"] if each != "psnr"]}


def told(suite, **options):
    """Return a run, and the notices that it gave."""
    notices = []

    def listen(event):
        if isinstance(event, Notice):
            notices.append(event.text)

    return run(suite, on_event=listen, **options), notices


def test_stations_measure_what_one_process_measures(small, installed):
    two, one, local = run(small), run(small, output="one", jobs=1), run(small, output="local", jobs=1, in_process=True)
    assert two.complete
    for other in (one, local):
        assert [row.entries for row in two.rows] == [row.entries for row in other.rows]
        assert [row.cell.bitstream_sha256 for row in two.rows] == [row.cell.bitstream_sha256 for row in other.rows]
    assert {row.cell.timing.concurrent_load for row in two.rows} == {"up to 1 other call"}
    assert {row.cell.timing.threads for row in two.rows} == {max(1, available_cores() // 2)}
    assert {row.cell.timing.concurrent_load for row in one.rows} == {"exclusive"}
    assert two.remarks == ()
    assert local.remarks == ("coded and scored in one process, where nothing keeps a decoder from seeing the original",)


def test_linear_algebra_at_a_station_takes_its_share_of_the_cores(small, installed):
    small["metrics"] = [{"oddity": {"how": "threads"}}]
    done = run(small)
    assert {row.entries["oddity.second"].value for row in done.rows} == {max(1, available_cores() // 2)}


@JOBS
def test_a_metric_that_dies_of_one_reconstruction_scores_the_others(small, installed, jobs):
    small["codecs"] = {"black": {"codec": "misbehave", "how": "none"}, "jpeg": {"quality": [50, 90]}, "png": None}
    small["metrics"] = [{"oddity": {"how": "crash-black"}}]
    done = run(small, jobs=jobs)
    assert {row.codec for row in done.rows if row.entries["oddity"].value == 0.5} == {"jpeg", "png"}
    assert {row.codec for row in done.rows if row.entries["oddity"].status is Status.FAILED} == {"black"}
    assert {note.what for note in done.failures} == {"metric oddity, plugin toys (toys 1.0)"}
    assert all("was killed by SIGKILL" in note.message for note in done.failures)


def test_failures_at_stations_keep_their_traceback(small, installed):
    small["codecs"]["shift"]["fail_on"] = 51
    done = run(small)
    assert {note.image for note in done.failures} == {"p1"}
    assert "RuntimeError: told to fail on width 51" in done.failures[0].traceback


# -- planted faults ---------------------------------------------------------------------------------------------------

FAULTS = {
    "segfault": ("StationDied", "was killed by SIGSEGV"),
    "abort": ("StationDied", "was killed by SIGABRT"),
    "os-exit": ("StationDied", "ended with exit code 0"),
    "sys-exit": ("SystemExit", "SystemExit: 3"),
    "interrupt": ("KeyboardInterrupt", ""),
    "base": ("BaseTrouble", "BaseTrouble: deep"),
    "unprintable": ("Unprintable", "whose text can't be had"),
    "unpicklable": ("Unpicklable", "closed"),
    "surrogates": ("ValueError", ""),
    "long": ("ValueError", "xxx"),
    "recursion": ("RecursionError", "recursion"),
    "memory-error": ("MemoryError", ""),
    "write": ("ValueError", "WRITEABLE"),
    "write-by-torch": ("StationDied", "was killed by SIGSEGV"),
    "write-by-address": ("StationDied", "was killed by SIGSEGV"),
    "closed-descriptors": ("StationDied", ""),
    "line": ("StationDied", ""),
}
CODEC_FAULTS = {
    "init": ("RuntimeError", "no instance for you"),
    "setup": ("StationDied", "was killed by SIGABRT"),
    "empty": ("ContractError", "encode returned no bytes"),
    "remembers": ("IndexError", ""),
    "drifts": ("ContractError", "decode gave other pixels than the first time"),
    "not-applicable-oddly": ("RuntimeError", "no text for you"),
    "decode-segfault": ("StationDied", "was killed by SIGSEGV"),
    "decode-os-exit": ("StationDied", "ended with exit code 0"),
    "decode-sys-exit": ("SystemExit", "3"),
    "last-words": ("StationDied", "was killed by SIGABRT"),
    "printed": ("ValueError", "deliberate"),
    "shared-memory": ("ValueError", "nothing is there"),
    "complexity": ("ContractError", "beyond 64 bits"),
    "artifact": ("ContractError", "can't be printed"),
    "orphan-and-die": ("StationDied", "ended with exit code 0"),
}
HARMLESS = {
    "chdir": "changed the working directory",
    "environment": "changed environment variables (FAULTS)",
    "numpy-errors": "changed NumPy's handling of errors",
    "numpy-random": "changed NumPy's global random state",
    "locale": "changed the locale",
    "recursion-limit": "changed the recursion limit",
    "warnings-as-errors": "turned warnings into errors",
    "warn": "UserWarning: old settings",
    "print": "",
    "print-natively": "",
    "close-stdout": "",
    "child": "",
    "orphan": "",
    "thread": "",
    "clock": "",
    "code-bytes": "",
    "shy-bytes": "",
    "path": "changed sys.path",
    "random": "changed random's global state",
    "bit-generator": "changed NumPy's global random state",
    "torch-settings": "changed torch's default dtype",
}


@pytest.fixture
def faulty(suite):
    suite["images"][0]["limit"] = 2
    suite["timing"] = {"repeats": 1, "budget": 0.0}
    suite["metrics"] = ["bpp", "original-mean"]
    suite["codecs"] = {"good": {"codec": "shift", "bits": 2}}
    return suite


@JOBS
def test_a_faulty_codec_harms_none_but_its_own_cells(faulty, installed, jobs, capfd):
    expected = {**FAULTS, **CODEC_FAULTS}
    before = run(faulty, output="before")
    for how in (*expected, *HARMLESS):
        faulty["codecs"][how] = {"codec": "faulty", "how": how}
    faulty["codecs"]["after"] = {"codec": "shift", "bits": 2}
    directory, environment = Path.cwd(), dict(os.environ)
    done, notices = told(faulty, jobs=jobs)
    assert done.complete
    right = {row.image: {name: entry.value for name, entry in row.entries.items()} for row in before.rows}
    failures = {(note.image, note.point): note for note in done.failures}
    for row in done.rows:
        if row.codec in expected:
            assert row.status is Status.FAILED, row.codec
            error, message = expected[row.codec]
            failure = row.cell.failure
            assert failure.plugin == "codec faulty, plugin faults (toys 1.0)"
            assert (failure.error, message in failure.message) == (error, True), (row.codec, failure.message)
            assert failures[row.image, row.point].message == failure.message
        else:
            assert row.status is Status.OK, (row.codec, row.reason)
            assert row.entries["original-mean"].value == right[row.image]["original-mean"]
            if row.codec in ("good", "after"):
                assert row.entries["bpp"].value == right[row.image]["bpp"]
    for how, text in HARMLESS.items():
        said = [line for line in notices if text and text in line]
        assert len(said) == bool(text), (how, notices)
        assert all("codec faulty, plugin faults" in line for line in said)
    until = time.monotonic() + 20  # what was killed may take a moment to go
    while processes_called(b"sleep\x00611") and time.monotonic() < until:
        time.sleep(0.1)
    assert processes_called(b"sleep\x00611") == []
    last = next(row for row in done.rows if row.codec == "last-words").cell.failure
    assert "these are my last words" in last.printed
    assert "Fatal Python error: Aborted" in last.printed
    printed = next(row for row in done.rows if row.codec == "printed").cell.failure
    assert printed.printed == "said before it failed"
    # Nothing of it came here, and nothing is left.
    out, err = capfd.readouterr()
    assert "from below" not in out + err
    assert len(out + err) < 10_000
    assert (Path.cwd(), dict(os.environ)) == (directory, environment)
    logs = "".join(path.read_text() for path in (done.path / "logs").iterdir())
    assert "── print-natively · p0 · encode\nfrom below\n" in logs
    assert len(logs) < 4_000_000
    again = run(faulty, output=done.path, jobs=jobs)  # what died is not tried again
    assert len(again.sessions) == 1


def processes_called(command):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += [path.parent.name] if path.read_bytes().startswith(command) else []
    return found


def test_what_a_codec_does_to_its_process_harms_no_other_package(faulty, installed):
    faulty["codecs"] = {"limits": {"codec": "faulty", "how": "limits"}, "png": None}
    faulty["metrics"] = ["bpp", {"wordy": {"metric": "faulty-metric", "how": "wordy-reason"}}]
    done = run(faulty)
    rows = {row.codec: row for row in done.rows if row.image == "p0"}
    assert rows["png"].status is Status.OK
    assert len(rows["png"].entries["wordy"].reason) == 1_000
    assert (done.path / "journal.jsonl").stat().st_size < 200_000


@pytest.mark.parametrize("how", ["segfault", "os-exit", "sys-exit", "chdir", "base", "unprintable", ""])
def test_a_plugin_that_watches_harms_no_run(faulty, installed, monkeypatch, how):
    monkeypatch.setenv("FAULTY_WATCHER", how)
    directory = Path.cwd()
    done, notices = told(faulty)
    assert done.complete
    assert not done.failures
    assert Path.cwd() == directory
    said = [line for line in notices if "faults (toys 1.0)" in line]
    assert bool(said) == bool(how), notices


def test_whoever_ends_the_server_fails_and_nobody_elses_processes_are_ended(faulty, installed):
    faulty["codecs"] = {"kills": {"codec": "faulty", "how": "kill-server"}, "after": {"codec": "shift", "bits": 2}}
    faulty["images"][0]["limit"] = 1
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as bystander:
        done = run(faulty, jobs=1)
        assert bystander.poll() is None
        bystander.kill()
    rows = {row.codec: row for row in done.rows}
    assert rows["kills"].cell.failure.error == "StationDied"
    assert rows["after"].status is Status.OK


def test_processes_that_others_fork_from_the_server_are_left_alone(faulty, installed):
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=time.sleep, args=(60,), daemon=True)
    process.start()
    faulty["codecs"] = {"orphan": {"codec": "faulty", "how": "orphan-and-die"}, "good": {"codec": "shift", "bits": 2}}
    run(faulty)
    assert process.is_alive()
    process.kill()


def test_what_lies_in_the_working_directory_is_not_imported(small, installed, tmp_path):
    for name in ("faults", "fractions", "qbench_fidelity"):
        Path(f"{name}.py").write_text("raise SystemExit('imported from the working directory')")
    script = f"import qbench\nassert qbench.run({small!r}, jobs=2, output='x').complete\n"
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "script.py").write_text(script)
    command = [sys.executable, tmp_path / "elsewhere" / "script.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@JOBS
def test_a_faulty_metric_harms_none_but_its_own_scores(faulty, installed, jobs):
    expected = {how: each for how, each in FAULTS.items() if how != "closed-descriptors"}
    for how in expected:
        faulty["metrics"].append({how: {"metric": "faulty-metric", "how": how}})
    faulty["metrics"].append({"last": {"metric": "original-mean"}})
    done = run(faulty, jobs=jobs)
    assert done.complete
    for row in done.rows:
        assert row.status is Status.OK
        assert row.entries["last"].value == row.entries["original-mean"].value > 0
        for how, (_, message) in expected.items():
            assert row.entries[how].status is Status.FAILED, how
            assert message in row.entries[how].reason, how
    assert {note.what for note in done.failures} == {"metric faulty-metric, plugin faults (toys 1.0)"}


@JOBS
def test_what_takes_too_much_is_ended(faulty, installed, jobs):
    faulty["limits"] = {"seconds": 600}
    faulty["codecs"] |= {
        "loop": {"codec": "faulty", "how": "loop", "limits": {"seconds": 0.5}},
        "sleep": {"codec": "faulty", "how": "decode-sleep", "limits": {"seconds": 0.5}},
        "memory": {"codec": "faulty", "how": "memory", "limits": {"memory": "400 MB"}},
        "shared": {"codec": "faulty", "how": "shared-without-end", "limits": {"memory": "400 MB"}},
        "closing": {"codec": "faulty", "how": "close-sleeps"},
    }
    faulty["images"][0]["limit"] = 1
    done = run(faulty, jobs=jobs)
    found = {row.codec: row.cell.failure for row in done.rows}
    assert found["good"] is found["closing"] is None
    assert found["loop"].error == found["sleep"].error == "TimeLimit"
    assert found["loop"].message.startswith("took longer than 0.5 s")
    assert found["memory"].error in ("MemoryLimit", "MemoryError")
    assert found["shared"].error == "MemoryLimit"


def test_limits_that_can_not_be_are_refused(faulty, installed):
    for limits in ({"seconds": 0}, {"memory": "lots"}, {"memory": 5}, {"minutes": 3}, 7):
        faulty["codecs"]["good"]["limits"] = limits
        with pytest.raises(SuiteError, match=r"codecs\.good\.limits"):
            run(faulty)


@JOBS
def test_a_run_that_is_stopped_ends_whatever_plugins_do(faulty, installed, jobs):
    faulty["codecs"]["loop"] = {"codec": "faulty", "how": "loop"}
    stop, ended = Stop(), []

    def listen(event):
        if isinstance(event, Recorded) and not ended:
            ended.append(time.monotonic())
            stop.set("interrupted", 0.5)

    part = run(faulty, jobs=jobs, stop=stop, on_event=listen)
    assert time.monotonic() - ended[0] < 5
    assert not part.complete
    assert not part.failures  # what is given up is no failure


@pytest.fixture(autouse=True)
def _none_left(tmp_path, monkeypatch):
    """Whatever a test does, no station of it is left, and nothing that a station's plugins started."""
    monkeypatch.setenv("STATION_TEST", str(tmp_path))
    yield
    monkeypatch.delenv("STATION_TEST")
    left = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes_marked("STATION_TEST", str(tmp_path))]
    assert [line for line in left if b"multiprocessing" not in line] == []  # but the server that they are forked from


def test_a_marked_process_is_found():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={MARK: "here"}) as process:
        deadline = 200
        while processes_marked(MARK, "here") != [process.pid] and deadline:
            deadline -= 1
            time.sleep(0.02)
        assert deadline
        process.communicate(b"")


# -- how many ---------------------------------------------------------------------------------------------------------


def test_a_decoder_that_kills_its_station_leaves_what_was_measured(small, installed, monkeypatch):
    small["keep"] = {"reconstructions": False}
    run(small)
    monkeypatch.setenv("TOYS_CRASH_WHEN_DECODING", "yes")  # a library that was updated, say
    scored = qbench.score("run", ["mse"], jobs=2, cache=False)
    assert scored.complete
    for row in scored.rows:
        assert row.status is Status.OK
        assert row.entries["difference"].status is Status.OK
        assert row.entries["mse"].status is Status.FAILED


def test_a_metric_that_dies_when_it_explains_ends_no_report(faulty, installed):
    faulty["metrics"] += [
        {"dies": {"metric": "faulty-metric", "how": "explain-segfault"}},
        {"tells": {"metric": "faulty-metric"}},
    ]
    done, notices = run(faulty), []
    page = qbench.report(done, notice=notices.append)[0]
    assert "a plugin" in page.read_text()
    assert len(notices) == 2
    assert notices[0].startswith(
        "not explained: metric faulty-metric, plugin faults (toys 1.0) failed: its process was"
    )
    with pytest.raises(PluginError, match="its process was killed by SIGSEGV"):
        qbench.explain(done, "p0", "good", "dies")
    _, explanation = qbench.explain(done, "p0", "good", "tells")
    assert explanation.facts == {"from": "a plugin"}
    assert {type(text) for pair in explanation.facts.items() for text in pair} == {str}


def test_a_decoder_that_dies_is_a_finding_of_verify(small, installed, monkeypatch):
    run(small)
    assert qbench.verify("run").good
    monkeypatch.setenv("TOYS_CRASH_WHEN_DECODING", "yes")
    findings = qbench.verify("run").findings
    assert {finding.bitstream for finding in findings} == {Verdict.UNDECODABLE}
    assert {"codec shift, plugin toys (toys 1.0): StationDied: its process " in each.reason for each in findings} == {
        True
    }


def test_fail_fast_stops_at_the_first_failure(small, installed):
    small["codecs"] = {"shift": {"bits": [1, 2, 3], "fail_on": 64}}
    part = run(small, jobs=1, fail_fast=True)
    assert len(part.failures) == 1
    assert not part.complete


def test_no_more_jobs_than_cells(small, installed):
    small["images"][0]["limit"] = 1
    done = run(small, jobs=800)
    assert done.sessions[0].provenance["jobs"] == done.plan.cells


def test_auto_takes_the_cores_there_are(small, installed):
    assert run(small, jobs="auto").sessions[0].provenance["jobs"] == available_cores()


def test_a_registry_of_ones_own_stays_in_this_process(small, registry):
    with pytest.raises(PluginError, match="use jobs=1"):
        run(small, registry=registry)
    assert run(small, registry=registry, jobs="auto").sessions[0].provenance["in_process"]


def test_a_script_without_a_main_guard_is_not_run_again(small, environment, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"print('once')\nimport qbench\nassert qbench.run({small!r}, jobs=2, output='x').complete\n")
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n", "")


def test_toys_are_the_installed_ones(installed):
    assert toys.Shift.name in default_registry().codecs
