"""The stations' server: forked from a program of qbench's own, or started anew where anybody else's code has run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing.popen_forkserver import Popen as ForkServerPopen
from pathlib import Path

import pytest

from qbench.execute import starting
from qbench.execute.limits import descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forked on Linux alone")

SUITE = """
images: [{{folder: {photos}}}]
codecs: {{jpeg: {{quality: [20, 80]}}}}
metrics: [psnr, ssim]
"""
SCRIPT = """
import json, sys
from pathlib import Path
{before}
import qbench
from qbench.api.running import plan_to_run
from qbench.execute.starting import server_pid
planned = plan_to_run({suite!r}, seed=None)
commands = [Path(f"/proc/{{pid}}/cmdline").read_bytes() for pid in ("self", server_pid())]
made = qbench.run(planned, output={output!r}, cache=False, jobs=2)
print(json.dumps([commands[0] != commands[1], made.complete, len(made.failures),
                  [[row.entries[name].value for name in ("bpp", "psnr", "ssim")] for row in made.rows]]))
"""


@pytest.fixture
def suite(photos, tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.format(photos=photos))
    return path


def started(suite, before="", name="run", **environment):
    code = SCRIPT.format(before=before, suite=str(suite), output=name)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.slow
def test_it_is_forked_where_nobody_elses_code_has_run(suite, toy_site):
    anew, complete, failures, values = started(suite)
    assert (anew, complete, failures) == (False, True, 0)
    # A plugin, a thread, torch: any of them may have left something that all stations would share.
    for index, (before, environment) in enumerate(
        [
            ("", {"PYTHONPATH": str(toy_site)}),
            ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()", {}),
            ("import torch", {}),
        ]
    ):
        assert started(suite, before, f"run{index}", **environment) == [True, complete, failures, values]


@pytest.mark.slow
def test_it_is_started_anew_where_settings_name_code(suite, tmp_path):
    (tmp_path / "mine.py").write_text("import torch\n\nclass Mine(torch.nn.Module):\n    pass\n")
    suite.write_text(suite.read_text().replace("codecs: {", "codecs: {torch-codec: {factory: 'mine:Mine'}, "))
    anew, complete, failures, _ = started(suite, PYTHONPATH=str(tmp_path))
    assert (anew, complete) == (True, True)
    assert failures == 3  # it neither compresses nor decompresses


def test_all_end_when_the_program_is_killed(suite, photos):
    suite.write_text(suite.read_text().replace("quality: [20, 80]", f"quality: {list(range(1, 100))}"))
    command = [sys.executable, "-m", "qbench", "run", suite, "-o", "run", "--no-cache", "-q"]
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = Path("run") / "journal.jsonl"
    until = time.monotonic() + 60
    while not (journal.exists() and b'"cell"' in journal.read_bytes()) and time.monotonic() < until:
        time.sleep(0.05)
    below = descendants(program.pid)
    assert len(below) >= 4  # the server, and stations that encode, decode and score
    program.send_signal(signal.SIGKILL)
    program.wait()
    until = time.monotonic() + 20
    while (left := [pid for pid in below if Path(f"/proc/{pid}/exe").exists()]) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == []


def test_a_server_that_is_about_to_go_is_waited_for(monkeypatch):
    """It refuses connections some moments before it counts as gone, and before another one can be started."""
    looks = iter(range(20))
    monkeypatch.setattr(starting, "server_pid", lambda: 17 if next(looks, None) is not None else None)
    launch = ForkServerPopen._launch

    def refused(*arguments):
        if next(looks, None) is not None:
            raise ConnectionRefusedError
        launch(*arguments)

    monkeypatch.setattr(ForkServerPopen, "_launch", refused)
    process = starting.start(os.getpid, (), "after")
    process.join()
    assert process.exitcode == 0
    assert next(looks, None) is None
