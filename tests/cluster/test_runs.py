"""Runs on workers of Dask: real processes, at a scheduler that tests share."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

import distributed
import pytest
from conftest import results_of
from conftest import run_heard as run

import qbench
from qbench.cluster import opening
from qbench.cluster.dealing import Crew
from qbench.cluster.hand_out import HandOut
from qbench.cluster.workers import Cluster
from qbench.errors import ClusterError
from qbench.execute.work import CellStarted, Recorded

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def scheduler(toy_site):
    """A scheduler with two workers, in which the toys are installed."""
    sys.path.insert(0, str(toy_site))  # which workers take over
    try:
        with (
            opening._quietly(),
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0, silence_logs=50
            ) as cluster,
        ):
            yield cluster
    finally:
        sys.path.remove(str(toy_site))


@pytest.fixture
def suite(suite):
    suite["codecs"] = {"shift": {"bits": [1, 3, 5]}, "jpeg": {"quality": [20, 80]}}
    suite["metrics"] = ["difference", "bpp", "psnr", "mean-shift"]
    suite["timing"] = {"repeats": 1, "budget": 0.0}
    return suite


def files_of(run):
    return {
        path.relative_to(run.path): path.read_bytes()
        for path in Path(run.path).rglob("*.*")
        if "logs" not in path.parts
    }


def test_it_is_the_same_run(suite, scheduler, installed):
    here, _ = run(suite, output="here", jobs=1)
    there, notices = run(suite, cluster=scheduler.scheduler_address)
    assert there.complete
    assert results_of(there) == results_of(here)
    kept = {name: data for name, data in files_of(here).items() if name.suffix in (".png", ".jpg", ".bin", ".yaml")}
    assert kept.items() <= files_of(there).items()
    assert not [text for text in notices if "worker" in text]
    (session,) = there.sessions
    cluster = session.provenance["cluster"]
    assert cluster["scheduler"] == scheduler.scheduler_address
    assert [worker["host"] for worker in cluster["workers"]] == [socket.gethostname()] * 2
    assert session.provenance["jobs"] == 2
    again, _ = run(suite, cluster=scheduler.scheduler_address)
    assert len(again.sessions) == 1  # nothing was left to do


def test_begun_here_gone_on_with_there_and_back(suite, scheduler, installed):
    whole, _ = run(suite, output="whole", jobs=1)
    stop = qbench.Stop()

    def after_two(event):
        if isinstance(event, Recorded):
            stop.set()

    for where in ({"jobs": 1}, {"cluster": scheduler.scheduler_address}):
        begun = qbench.run(suite, output="run", cache=False, stop=stop, on_event=after_two, **where)
        assert not begun.complete
        stop = qbench.Stop()
    done, _ = run(suite, jobs=1)
    assert results_of(done) == results_of(whole)
    scored = qbench.score(done, ["ssim"], cache=False, cluster=scheduler.scheduler_address)
    assert scored.complete
    assert {row.entries["ssim"].status for row in scored.rows} == {qbench.Status.OK}


def test_originals_that_workers_do_not_see_are_sent_along(suite, scheduler, installed, monkeypatch):
    here, _ = run(suite, output="here", jobs=1)
    monkeypatch.setattr("qbench.cluster.luggage.replace", hiding)
    there, notices = run(suite, cluster=scheduler.scheduler_address)
    assert results_of(there) == results_of(here)
    assert sum("doesn't see the originals' files: they are sent along" in text for text in notices) in (1, 2)


def hiding(unit, **changes):
    """Stand in for ``replace``: say that originals are where no worker can see them."""
    made = replace(unit, **changes)
    if hasattr(made, "parts"):
        parts = [replace(part, source=replace(part.source, path=Path("/nowhere") / part.image)) for part in made.parts]
        made = replace(made, parts=tuple(parts))
    return made


def test_originals_that_nobody_sees_fail_as_they_do_here(suite, scheduler, installed, photos):
    planned = qbench.plan(suite)
    (photos / "p1.png").unlink()
    here, _ = run(planned, output="here", jobs=1)
    there, _ = run(planned, cluster=scheduler.scheduler_address)
    assert results_of(there) == results_of(here)
    assert {row.status for row in there.rows if row.image == "p1"} == {qbench.Status.FAILED}


def test_failures_are_in_the_run_and_name_their_plugin(suite, scheduler, installed):
    suite["codecs"] = {"dies": {"codec": "faulty", "how": "segfault"}, "shift": {"bits": [2]}}
    suite["metrics"] = ["original-mean"]
    there, _ = run(suite, cluster=scheduler.scheduler_address)
    assert there.complete
    failed = {row.cell.failure.error for row in there.rows if row.codec == "dies"}
    assert failed == {"StationDied"}
    assert {row.status for row in there.rows if row.codec == "shift"} == {qbench.Status.OK}


@pytest.mark.slow
def test_what_a_lost_worker_was_at_is_done_elsewhere(suite, installed):
    suite["codecs"] = {"slow": {"codec": "faulty", "how": "sleep-a-little"}, "shift": {"bits": [1, 2, 3]}}
    suite["metrics"] = ["original-mean"]
    here, _ = run(suite, output="here", jobs=1)
    killed = []

    def kill(event):
        if isinstance(event, Recorded) and len(killed) < 3:
            workers = [pid for pid in children_of(os.getpid()) if b"spawn_main" in command_of(pid)]
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(workers[len(killed) % len(workers)], signal.SIGKILL)
                killed.append(True)

    there = qbench.run(suite, output="run", cache=False, cluster="local:2", on_event=kill)
    assert killed
    assert there.complete
    assert results_of(there) == results_of(here)


@pytest.mark.slow
def test_who_ends_workers_again_and_again_fails_and_nobody_else(suite, installed):
    suite["codecs"] = {"kills": {"codec": "faulty", "how": "kill-worker"}, "shift": {"bits": [1, 2]}}
    suite["metrics"] = ["original-mean"]
    suite["images"][0]["limit"] = 2
    there, notices = run(suite, cluster="local:2")
    assert there.complete
    for row in there.rows:
        if row.codec == "kills":
            assert row.cell.failure.error == "WorkersEnded"
            assert row.cell.failure.message.startswith("3 workers ended while they were at it")
            assert "codec faulty" in row.cell.failure.plugin
        else:
            assert row.status is qbench.Status.OK
    assert any("has gone; what it was at is done elsewhere" in text for text in notices)


def children_of(pid):
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_workers_that_are_not_as_a_plan_needs_them_are_refused(suite, scheduler, installed, monkeypatch):
    planned = qbench.plan(suite)
    point = planned.points[0]
    identity = {**point.identity, "version": 99}
    changed = replace(planned, points=(replace(point, identity=identity), *planned.points[1:]))
    with pytest.raises(ClusterError, match=r"2 workers can't take part:\n  0 on .*shift 99 then, 1 now"):
        run(changed, cluster=scheduler.scheduler_address)
    assert not Path("run").exists()


@pytest.mark.slow
def test_a_scheduler_that_is_lost_ends_the_run_which_can_be_gone_on_with(suite, installed):
    suite["codecs"]["shift"]["bits"] = [1, 2, 3, 4, 5]
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", memory_limit=0, silence_logs=50
    ) as cluster:
        ended = threading.Event()

        def end(event):
            if isinstance(event, Recorded) and not ended.is_set():
                ended.set()
                threading.Thread(target=cluster.close).start()

        with pytest.raises(ClusterError, match="can't be reached any more; what was done is kept"):
            qbench.run(suite, output="run", cache=False, cluster=cluster.scheduler_address, on_event=end)
    done, _ = run(suite, jobs=1)
    assert done.complete


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lokal:3", "not known; accepted: local, local:N"),
        ("local:0", "at least one worker"),
        ("local:3-2", "no more at first than at most"),
        ("local:x", "not known"),
        ("nothere.json", "there is no such scheduler file"),
        ("tcp://127.0.0.1:1", "no Dask scheduler answers at tcp://127.0.0.1:1 within"),
        ("slurm", "how many cores and how much memory has a job"),
    ],
)
def test_what_is_no_cluster_is_told(suite, installed, monkeypatch, text, message):
    monkeypatch.setattr(opening, "CONNECTING", 1.0)
    with pytest.raises(ClusterError, match=message):
        run(suite, cluster=text)
    assert not Path("run").exists()


def test_options_of_queues(suite, installed, monkeypatch):
    with pytest.raises(ClusterError, match="is for batch systems"):
        run(suite, cluster="local:2", cluster_options={"queue": ["x"]})
    assert opening._value("walltime", ["24:00:00"]) == "24:00:00"
    assert opening._value("cores", ["8"]) == 8
    assert opening._value("job_extra_directives", ["--gres=gpu:1"]) == ["--gres=gpu:1"]
    assert opening._value("job-script-prologue", ["a", "b"]) == ["a", "b"]
    with pytest.raises(ClusterError, match="leave one of the two out"):
        run(suite, cluster="local:2", in_process=True)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match="needs Dask: pip install"):
        run(suite, cluster="local:2")


def test_times_with_nothing_beside_them_want_a_machine_for_each_worker(suite, scheduler, installed):
    suite["timing"] = {"exclusive": True}
    with pytest.raises(ClusterError, match="workers share a machine"):
        run(suite, cluster=scheduler.scheduler_address)


def test_processors_code_and_whoever_has_an_accelerator_scores(suite, scheduler, installed, monkeypatch):
    suite["codecs"] = {"shift": {"bits": [1, 3]}, "there": {"codec": "on-device"}}
    suite["metrics"] = ["bpp", "looks-together", "mean-shift"]
    here, _ = run(suite, output="here", jobs=1)

    async def give(session, dask_worker):
        await dask_worker.set_resources(**{f"qbench-accelerator-{session}": 1})

    give.__module__ = "__main__"  # so that it travels whole
    handed = []

    def crew(self, session):
        (first, *_) = self._client.scheduler_info(n_workers=-1)["workers"]
        self._client.run(give, session, workers=[first])
        return Crew(2, accelerators=True, processors=True)

    def submit(self, unit):
        handed.append((unit.accelerator, {cell.point for part in unit.parts for cell in part.cells}, unit.later))
        submitted(self, unit)

    submitted = HandOut._submit
    monkeypatch.setattr(Cluster, "_crew", crew)
    monkeypatch.setattr(HandOut, "_submit", submit)
    there, _ = run(suite, cluster=scheduler.scheduler_address)
    assert results_of(there) == results_of(here)
    of_processors = [points for accelerator, points, later in handed if not accelerator and later == {"looks-together"}]
    assert set().union(*of_processors) == {"shift:bits=1", "shift:bits=3"}
    with_one = [points for accelerator, points, _ in handed if accelerator]
    assert set().union(*with_one) == {"shift:bits=1", "shift:bits=3", "there"}


def test_each_worker_of_this_machine_sees_one_accelerator(monkeypatch):
    monkeypatch.setattr(opening, "_devices", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [opening._visible_device(number) for number in range(3)] == ["0", "1", ""]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert [opening._visible_device(number) for number in range(3)] == ["4", "7", ""]
    monkeypatch.setattr(opening, "_devices", lambda: 0)
    assert opening._visible_device(0) is None


def test_what_was_done_of_a_unit_comes_back_when_the_run_is_stopped(suite, scheduler, installed, monkeypatch):
    monkeypatch.setattr("qbench.cluster.dealing.Dealer._dealt", lambda self, cells, pieces: [cells])  # whole images
    monkeypatch.setattr("qbench.cluster.hand_out.SPEAKING", 0.0)  # signs of life are given, too
    monkeypatch.setattr("qbench.cluster.hand_out.LOOKING", 0.1)
    slow = {f"slow{number}": {"codec": "faulty", "how": "sleep-a-little"} for number in range(12)}
    suite["codecs"], suite["metrics"] = slow, ["original-mean"]
    suite["timing"] = {"repeats": 1, "budget": 0.0}
    stop = qbench.Stop()

    def after_some(event):
        if isinstance(event, CellStarted) and not event.point.startswith("slow0 "):
            stop.set("interrupted", 20)

    address = scheduler.scheduler_address
    begun = qbench.run(suite, output="run", cache=False, cluster=address, stop=stop, on_event=after_some)
    coded = [row for row in begun.rows if row.status is qbench.Status.OK]
    assert 1 <= len(coded) < len(begun.rows)
    done, notices = run(suite, cluster=address)
    assert done.complete
    assert not notices
