"""Executing in this process."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

from qbench.execute.coding import ImageCoder
from qbench.execute.scoring import ImageScorer
from qbench.execute.work import CodedImage, Event, ImageWork, Setup, Stop
from qbench.registry.registry import Registry


def coder_and_scorer(
    setup: Setup, registry: Registry, stopping: Callable[[], bool], worker: int = 0
) -> tuple[ImageCoder, ImageScorer]:
    """Make what codes and what scores; they may be used from two threads, and share what plugins tell."""
    notices: deque[str] = deque()
    setup = replace(setup, context=replace(setup.context, notice=notices.append))
    return ImageCoder(setup, registry, notices, stopping, worker), ImageScorer(
        setup, registry, notices, stopping, worker
    )


def run_in_process(
    works: Sequence[ImageWork], setup: Setup, registry: Registry, stop: Stop, *, overlap: bool
) -> Generator[Event]:
    """Work in this process. With ``overlap``, one thread codes the next image while another scores this one."""
    coder, scorer = coder_and_scorer(setup, registry, stop.is_set)
    events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
    handover: queue.Queue[CodedImage | None] = queue.Queue(maxsize=1)

    def code() -> None:
        for group in coder.groups(works):
            for event in coder.code_ahead(group):
                events.put(event)
            for work in group:
                if stop.is_set():
                    break
                coded = CodedImage(work)
                for event in coder.code(work, coded):
                    events.put(event)
                if overlap:
                    handover.put(coded)
                else:
                    score(coded)
        handover.put(None)

    def score(coded: CodedImage) -> None:
        for event in scorer.score(coded):
            events.put(event)

    def score_all() -> None:
        while (coded := handover.get()) is not None:
            score(coded)

    def guarded(target: Any) -> None:
        try:
            target()
        except BaseException as error:  # handed to the loop below, which raises it
            stop.set()
            events.put(error)
            handover.put(None) if target is code else _drain(handover)
        events.put(None)

    threads = [
        threading.Thread(target=guarded, args=(target,), name=f"qbench-{target.__name__}", daemon=True)
        for target in (code, score_all)
    ]
    for thread in threads:
        thread.start()
    running = len(threads)
    trouble: BaseException | None = None
    try:
        while running:
            event = events.get()
            if event is None:
                running -= 1
            elif isinstance(event, BaseException):
                trouble = trouble or event
            else:
                yield event
    finally:
        if running:
            stop.set()  # whoever listens has gone: leave no thread at work behind
        for thread in threads:
            thread.join()
        closing = coder.close()
    yield from closing
    if trouble is not None:
        raise trouble


def _drain(handover: queue.Queue[CodedImage | None]) -> None:
    """Take what the coder still hands over, so that it is not left waiting for a scorer that is gone."""
    while handover.get() is not None:
        pass
