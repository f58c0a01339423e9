"""What codecs and metrics print, shown to who asks for it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml


@pytest.fixture
def printing(photos):
    suite = {
        "name": "printing",
        "images": [{"folder": str(photos), "limit": 1}],
        "codecs": {how: {"codec": "faulty", "how": how} for how in ("print-natively", "printed")},
        "metrics": ["bpp"],
        "timing": {"repeats": 1, "budget": 0.0},
    }
    Path("s.yaml").write_text(yaml.safe_dump(suite))
    return suite


def test_the_log_of_a_run(printing, qbench_command):
    done = qbench_command("run", "s.yaml", "-o", "run", "-q", "--no-report")
    assert done.returncode == 1
    assert "from below" not in done.stdout + done.stderr
    log = qbench_command("show", "run", "--log")
    assert log.returncode == 0
    assert "── print-natively · p0 · encode\nfrom below\n" in log.stdout
    assert "said before it failed" in log.stdout
    failures = qbench_command("show", "run", "--failures").stdout
    assert "ValueError: deliberate" in failures
    assert "last printed:\nsaid before it failed" in failures
    assert "ask for one at a time" in qbench_command("show", "run", "--log", "--timings").stderr
    assert qbench_command("show", "run", "--log", "-f", "csv").returncode == 2
    (Path("run") / "logs" / "evil.log").write_bytes(b"\x1b[31mred\xff\n")
    assert "\\x1b[31mred" in qbench_command("show", "run", "--log").stdout


def test_a_quiet_run_has_no_log(printing, qbench_command, photos):
    printing["codecs"] = {"shift": {"bits": 1}}
    Path("s.yaml").write_text(yaml.safe_dump(printing))
    assert qbench_command("run", "s.yaml", "-o", "run", "-q", "--no-report").returncode == 0
    log = qbench_command("show", "run", "--log")
    assert (log.returncode, log.stdout) == (0, "")
    assert "codecs and metrics printed nothing" in log.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_run_ends_within_seconds_whatever_a_codec_does(printing, environment, number):
    printing["codecs"] = {"loop": {"codec": "faulty", "how": "loop"}}
    Path("s.yaml").write_text(yaml.safe_dump(printing))
    command = [sys.executable, "-m", "qbench", "run", "s.yaml", "-o", "run", "-q", "--no-report"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        while not any("── loop" in path.read_text() for path in Path("run").glob("logs/encode-*.log")):
            assert process.poll() is None
            time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(number)
        told = process.communicate()[1].decode()
        assert process.returncode == 130
        assert time.monotonic() - began < 30  # of a busy machine; five seconds of an idle one
    assert "finishing work in progress, for up to 3 s" in told
