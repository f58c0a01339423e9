"""Codecs and metrics that harm, cheat or break whoever runs them, each in the way that it is told."""

from __future__ import annotations

import ctypes
import locale
import mmap
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from qbench.plugin import (
    Artifact,
    Codec,
    Column,
    Complexity,
    Direction,
    Explanation,
    Image,
    Metric,
    NotApplicable,
    Parameters,
    hookimpl,
)

REMEMBERED: list[Image] = []
SHARED = mmap.mmap(-1, 2**20)
"""Memory that processes share which are forked once this module is loaded."""


class HowParameters(Parameters):
    how: str = Field("", description="what to do wrong")


class Unprintable(Exception):  # noqa: N818
    def __str__(self):
        raise RuntimeError("no text for you")

    __repr__ = __str__


class Unpicklable(Exception):  # noqa: N818
    def __reduce__(self):
        raise TypeError("no pickle for you")


class CodeBytes(bytes):
    """Bytes that run a program where they are unpickled."""

    def __reduce__(self):
        from numpy.testing._private.utils import runstring

        return runstring, ("import os; os._exit(0)", {})


class ShyBytes(bytes):
    def __len__(self):
        return 1


class BaseTrouble(BaseException):
    """Derives from what nobody should derive from."""


def recurse(depth):
    return recurse(depth + 1)


def allocate():
    kept = []
    while True:
        kept.append(np.ones(2**23))
        time.sleep(0.01)


def leave_child():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)


def leave_orphan():
    code = "import subprocess; subprocess.Popen(['sleep', '611'], env={}, start_new_session=True)"
    subprocess.run([sys.executable, "-c", code], env={}, check=True)


def allocate_shared():
    kept = []
    while True:
        kept.append(mmap.mmap(-1, 2**26))
        kept[-1][:] = bytes(2**26)
        time.sleep(0.01)


def kill_server():
    parent = os.getppid()
    if b"forkserver" in Path(f"/proc/{parent}/cmdline").read_bytes():
        os.kill(parent, signal.SIGKILL)
        time.sleep(600)


def leave_thread():
    threading.Thread(target=lambda: time.sleep(600)).start()


def write_over(image):
    image.pixels.setflags(write=True)
    image.pixels[:] = 0


def write_over_by_torch(image):
    import torch

    torch.from_numpy(image.pixels).zero_()


def write_over_by_address(image):
    ctypes.memset(image.pixels.ctypes.data, 0, image.pixels.nbytes)


def change_torch():
    import torch

    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)


def die_of_closed_descriptors():
    os.closerange(3, 256)


def write_on_the_line():
    for descriptor in Path("/dev/fd").iterdir():
        try:
            os.write(int(descriptor.name), b"garbage" * 100)
        except OSError:
            continue


def kill_worker():
    """End the process that started the stations' server, as whatever ends a worker does, and with it all stations."""
    server = os.getppid()
    worker = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(worker, signal.SIGKILL)
    time.sleep(600)


def do(how, image):
    """Do something wrong with an image at hand."""
    acts = {
        "segfault": lambda: ctypes.string_at(0),
        "abort": os.abort,
        "os-exit": lambda: os._exit(0),
        "sys-exit": lambda: sys.exit(3),
        "interrupt": lambda: (_ for _ in ()).throw(KeyboardInterrupt()),
        "base": lambda: (_ for _ in ()).throw(BaseTrouble("deep")),
        "unprintable": lambda: (_ for _ in ()).throw(Unprintable()),
        "unpicklable": lambda: (_ for _ in ()).throw(Unpicklable("closed")),
        "surrogates": lambda: (_ for _ in ()).throw(ValueError("\udcff\ud800")),
        "long": lambda: (_ for _ in ()).throw(ValueError("x" * 10_000_000)),
        "recursion": lambda: recurse(0),
        "memory-error": lambda: bytearray(2**60),
        "loop": lambda: [None for _ in iter(int, 1)],
        "sleep": lambda: time.sleep(600),
        "memory": allocate,
        "write": lambda: write_over(image),
        "write-by-torch": lambda: write_over_by_torch(image),
        "write-by-address": lambda: write_over_by_address(image),
        "closed-descriptors": die_of_closed_descriptors,
        "line": write_on_the_line,
        # what is wrong, but does not fail
        "chdir": lambda: os.chdir("/"),
        "environment": lambda: os.environ.update(FAULTS="yes"),
        "numpy-errors": lambda: np.seterr(all="raise"),
        "numpy-random": lambda: np.random.seed(1),
        "locale": lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
        "recursion-limit": lambda: sys.setrecursionlimit(333),
        "warnings-as-errors": lambda: warnings.simplefilter("error"),
        "warn": lambda: warnings.warn("old settings", stacklevel=1),
        "print": lambda: print("x" * 2_000_000),
        "print-natively": lambda: os.write(1, b"from below\n"),
        "close-stdout": sys.stdout.close,
        "child": leave_child,
        "orphan": leave_orphan,
        "orphan-and-die": lambda: (leave_orphan(), os._exit(0)),
        "kill-server": kill_server,
        "kill-worker": kill_worker,
        "sleep-a-little": lambda: time.sleep(0.3),
        "limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3)),
        "clock": lambda: setattr(time, "perf_counter", lambda: 0.0),
        "path": sys.path.clear,
        "random": lambda: random.seed(1),
        "bit-generator": lambda: np.random.set_bit_generator(np.random.PCG64(1)),
        "torch-settings": change_torch,
        "wordy-reason": lambda: (_ for _ in ()).throw(NotApplicable("n" * 50_000_000)),
        "shared-without-end": allocate_shared,
        "thread": leave_thread,
    }
    acts.get(how, lambda: None)()


class OddText(str):
    """A kind of text that only this plugin knows."""

    __slots__ = ()


class Faulty(Codec):
    """Sends raw samples, after doing what it is told in ``encode`` (or, with ``decode-`` before it, in ``decode``)."""

    name = "faulty"
    summary = "does what it must not"
    Parameters: ClassVar = HowParameters

    def __init__(self, parameters, context):
        super().__init__(parameters, context)
        if parameters.how == "init":
            raise RuntimeError("no instance for you")

    def setup(self):
        if self.parameters.how == "setup":
            os.abort()

    def encode(self, image):
        how = self.parameters.how
        if how == "last-words":
            print("these are my last words")
            os.abort()
        if how == "printed":
            print("said before it failed")
            raise ValueError("deliberate")
        if how == "empty":
            return b""
        if how == "remembers":
            REMEMBERED[:] = [image]
            return b"\1"
        if how == "shared-memory":
            SHARED[: image.pixels.size] = image.pixels.tobytes()
            return b"%d,%d;" % image.shape[:2]
        if how == "not-applicable-oddly":
            raise NotApplicable(Unprintable())
        do(how, image)
        if how in ("code-bytes", "shy-bytes"):
            kind = CodeBytes if how == "code-bytes" else ShyBytes
            return kind(b"%d,%d;" % image.shape[:2] + image.pixels.tobytes())
        return b"%d,%d;" % image.shape[:2] + image.pixels.tobytes()

    def decode(self, bitstream):
        how = self.parameters.how
        if how == "remembers":
            return REMEMBERED[0]
        head, _, body = bitstream.partition(b";")
        height, width = map(int, head.split(b","))
        if how == "shared-memory":
            body = SHARED[: height * width * 3]
            if not any(body):
                raise ValueError("nothing is there")
        pixels = np.frombuffer(body, np.uint8).reshape(height, width, 3)
        if how == "drifts":
            self.count = getattr(self, "count", 0) + 1
            pixels = pixels ^ np.uint8(self.count % 2)
        if how.startswith("decode-"):
            do(how.removeprefix("decode-"), Image(pixels))
        return Image(pixels)

    def complexity(self, height, width):
        return Complexity(parameters=10**400) if self.parameters.how == "complexity" else None

    def artifacts(self):
        return [Artifact("a\udcff\x00b", b"x")] if self.parameters.how == "artifact" else []

    def close(self):
        if self.parameters.how == "close":
            raise RuntimeError("can't let go")
        if self.parameters.how == "close-sleeps":
            time.sleep(600)


class OnDevice(Faulty):
    """Says that it computes on an accelerator, which breaks for the process where it is told to, as CUDA's does."""

    name = "on-device"
    runs_on = "accelerator"

    def setup(self):
        import torch

        if not hasattr(torch.cuda, "toy"):
            torch.cuda.toy, torch.cuda.synchronize = set(), synchronise

    def encode(self, image):
        import torch

        if self.parameters.how == "break-device":
            torch.cuda.toy.add("broken")
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if self.parameters.how == "slowly":
            time.sleep(0.2)
        torch.cuda.synchronize(self.context.device)
        return b"%d,%d;" % image.shape[:2] + image.pixels.tobytes()

    def parts(self, bitstream):
        """Tell where it decodes, in a way that is recorded."""
        return {self.context.device: len(bitstream)}


class OnProcessor(OnDevice):
    """Likewise, on a processor."""

    name = "on-processor"
    runs_on = "cpu"


def synchronise(device=None):
    """Stand in for CUDA's."""
    import torch

    if "broken" in torch.cuda.toy:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


class FaultyMetric(Metric):
    """1, after doing what it is told."""

    name = "faulty-metric"
    summary = "does what it must not"
    columns: ClassVar = (Column("faulty-metric", Direction.HIGHER, 0, 1),)
    Parameters: ClassVar = HowParameters

    def score(self, candidates, prepared):
        do(self.parameters.how, candidates.images[0])
        return [{"faulty-metric": 1.0} for _ in candidates.images]

    def explain(self, candidates, prepared):
        do(self.parameters.how.removeprefix("explain-"), candidates.images[0])
        return Explanation({OddText("from"): OddText("a plugin")})


class LooksTogether(Metric):
    """The mean, said to be taken on an accelerator; and how many images were looked at together for it."""

    name = "looks-together"
    summary = "how many images were looked at together"
    runs_on = "accelerator"
    columns: ClassVar = (
        Column("looks-together", Direction.HIGHER, 0, None),
        Column("mean", Direction.HIGHER, 0, 255),
    )
    Parameters: ClassVar = HowParameters

    def prepare(self, reference):
        if self.parameters.how == "not-the-first" and reference.name == "p0":
            raise NotApplicable("it is the first")
        return float(reference.pixels.mean())

    def score(self, candidates, prepared):
        return [self._scores(image, 1) for image in candidates.images]

    def score_several(self, works):
        how = self.parameters.how
        if how == "raise":
            raise RuntimeError("together it can't be done")
        if how == "die":
            os._exit(3)
        if how == "too-few":
            return []
        count = sum(len(candidates) for candidates, _ in works)
        return [[self._scores(image, count) for image in candidates.images] for candidates, _ in works]

    def _scores(self, image, count):
        return {"looks-together": count, "mean": float(image.pixels.mean())}


class BlackTest(Metric):
    """The mean of the original, to see whether it is still there."""

    name = "original-mean"
    summary = "mean sample of the original"
    columns: ClassVar = (Column("original-mean", Direction.HIGHER, 0, 255),)

    def score(self, candidates, prepared):
        return [{"original-mean": float(candidates.reference.pixels.mean())} for _ in candidates.images]


@hookimpl
def qbench_register_codecs(register):
    register(Faulty)
    register(OnDevice)
    register(OnProcessor)


@hookimpl
def qbench_register_metrics(register):
    register(FaultyMetric)
    register(BlackTest)
    register(LooksTogether)


__all__ = ["Faulty", "FaultyMetric"]


@hookimpl
def qbench_cell_coded(record):
    do(os.environ.get("FAULTY_WATCHER", ""), None)


@hookimpl
def qbench_run_started(plan):
    do(os.environ.get("FAULTY_WATCHER", ""), None)
