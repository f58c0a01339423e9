"""The kit on installed codecs and metrics, each time in a process of its own: what it does there harms nobody."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qbench.contracts.codec import Codec
from qbench.contracts.metric import DistributionMetric, Metric, MetricDeclaration
from qbench.errors import PluginError, did_you_mean
from qbench.execute.limits import children, descendants
from qbench.execute.station import adopt_orphans
from qbench.registry.registry import Registry, default_registry, registry_with
from qbench.testing.codecs import check_codec
from qbench.testing.edges import check_metric_at_edges
from qbench.testing.metrics import check_distribution_metric, check_metric
from qbench.testing.settings import random_settings

MARK = "qbench-check "
MUTATIONS = 30


@dataclass(frozen=True)
class Checked:
    """What became of the promises of a codec or metric at some settings.

    Attributes:
        settings: other than the defaults.
        kept: promises that are kept, in words.
        broken: the one that is not, or how the process ended; empty if all are kept.
        unfinished: whether the time was over first.
    """

    settings: Mapping[str, Any]
    kept: Sequence[str]
    broken: str
    seconds: float
    unfinished: bool = False


def found(name: str, registry: Registry) -> tuple[str, type[Codec] | type[MetricDeclaration]]:
    """Return the kind, and the class, of an installed codec or metric.

    Raises:
        PluginError: there is none of that name.
    """
    if name in registry.codecs:
        return "codec", registry.codecs[name]
    if name in registry.metrics:
        return "metric", registry.metrics[name]
    known = [*registry.codecs, *registry.metrics]
    raise PluginError(f"no codec or metric `{name}`{did_you_mean(name, known)}; `qbench plugins` lists them")


def checks(
    name: str,
    settings: Sequence[Mapping[str, Any]],
    count: int,
    seed: int,
    seconds: float,
    registry: Registry | None = None,
) -> Iterator[Checked]:
    """Check a codec or metric at its defaults (or at given settings), then at some drawn at random.

    Args:
        count: how many settings are drawn.
        seconds: that each may take.
        registry: of what is installed, and of files.

    Raises:
        PluginError: there is none of that name.
    """
    registry = registry or default_registry()
    _, cls = found(name, registry)
    rng = np.random.default_rng(seed)
    drawn = [random_settings(cls.Parameters, rng) for _ in range(count)]
    distinct = {json.dumps(each, sort_keys=True): each for each in [*(settings or [{}]), *drawn]}
    for each in distinct.values():
        yield _checked(name, each, seconds, registry.files)


def _checked(name: str, settings: Mapping[str, Any], seconds: float, files: Sequence[str]) -> Checked:
    began = time.monotonic()
    command = [sys.executable, "-m", "qbench.testing.checking", name, json.dumps(settings), *files]
    unfinished = False
    adopt_orphans()
    before = set(children(os.getpid()))
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=seconds, start_new_session=True)
        out, error, code = done.stdout, done.stderr, done.returncode
    except subprocess.TimeoutExpired as over:
        out, error, code, unfinished = over.stdout or b"", over.stderr or b"", 0, True
    for left in set(children(os.getpid())) - before:
        with contextlib.suppress(OSError):
            if os.getsid(left) != os.getsid(0):  # what the plugin started, or its process left behind
                for pid in (*descendants(left), left):
                    os.kill(pid, signal.SIGKILL)
    lines = [line[len(MARK) :] for line in out.decode(errors="replace").splitlines() if line.startswith(MARK)]
    kept = [line.partition(" ")[2] for line in lines if line.startswith("kept ")]
    broken = next((json.loads(line.partition(" ")[2]) for line in lines if line.startswith("broken ")), "")
    if not (broken or unfinished) and "done" not in lines:
        last = "\n".join(error.decode(errors="replace").splitlines()[-15:])
        broken = f"the process ended with exit code {code}\n{last}".strip()
    return Checked(settings, kept, broken, time.monotonic() - began, unfinished)


def main(name: str, settings: Mapping[str, Any], files: Sequence[str] = ()) -> None:
    """Check one codec or metric in this process, and say what is kept line by line."""
    say = sys.__stdout__
    assert say is not None

    def passed(promise: str) -> None:
        say.write(f"\n{MARK}kept {promise}\n")
        say.flush()

    _, cls = found(name, registry_with(files))
    try:
        if issubclass(cls, Codec):
            check_codec(cls, parameters=settings, mutations=MUTATIONS, passed=passed)
        elif issubclass(cls, DistributionMetric):
            check_distribution_metric(cls, parameters=settings, passed=passed)
        elif issubclass(cls, Metric):
            check_metric(cls, parameters=settings, passed=passed)
            check_metric_at_edges(cls, parameters=settings, passed=passed)
    except Exception as error:
        text = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        say.write(f"\n{MARK}broken {json.dumps(text)}\n")
    say.write(f"\n{MARK}done\n")
    say.flush()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:])
