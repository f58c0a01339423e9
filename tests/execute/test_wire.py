"""Messages between the coordinator and a station: whole, with the memory that their images are in."""

from __future__ import annotations

import contextlib
import copyreg
import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qbench.errors import NotApplicable
from qbench.execute.answering import Request
from qbench.execute.shared import SharedImage
from qbench.execute.wire import HEADER, MAGIC, MOST_DESCRIPTORS, Line, as_if_sent
from qbench.images.image import Image


def images(count, side=4):
    return [Image(np.full((side, side, 3), number % 256, np.uint8)) for number in range(count)]


@pytest.fixture
def ends():
    pair = socket.socketpair()
    for each in pair:
        each.settimeout(20)
    yield pair
    for each in pair:
        each.close()


def memories():
    """Which memory of images this process has descriptors of."""
    found = set()
    for entry in list(Path("/dev/fd").iterdir()):
        with contextlib.suppress(OSError):
            status = entry.stat()
            if "qbench-image" in str(entry.readlink()):
                found.add(status.st_ino)
    return found


def passed(ends, message):
    there = Line(ends[1], in_station=True)
    sender = threading.Thread(target=Line(ends[0], in_station=False).send, args=(message,))
    sender.start()
    found = there.receive()
    sender.join()
    return found


@pytest.mark.parametrize("count", [0, 1, MOST_DESCRIPTORS, MOST_DESCRIPTORS + 1, 2 * MOST_DESCRIPTORS + 7])
def test_as_many_images_as_there_are(ends, count):
    before = memories()
    found = passed(ends, Request("take", tuple(images(count)), "codec a"))
    assert [int(image.pixels[0, 0, 0]) for image in found.arguments] == [number % 256 for number in range(count)]
    assert not any(image.pixels.flags.writeable for image in found.arguments)
    del found
    assert memories() <= before


def test_more_than_a_socket_takes_at_once(ends):
    big = os.urandom(5_000_000)
    assert passed(ends, Request("decode", (big, *images(3)), "codec a")).arguments[0] == big


@pytest.mark.parametrize("cut", [1, HEADER.size - 1, HEADER.size, HEADER.size + 1])
def test_a_message_that_comes_in_pieces(ends, cut):
    sent, received = ends
    other, taken = socket.socketpair()
    Line(other, in_station=False).send(Request("close", (), "codec a"))
    whole = taken.recv(10_000)
    other.close()
    taken.close()
    sender = threading.Timer(0.1, sent.sendall, (whole[cut:],))
    sent.sendall(whole[:cut])
    sender.start()
    assert Line(received, in_station=True).receive() == Request("close", (), "codec a")
    sender.join()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 3))
def test_what_is_no_message_is_refused_and_its_descriptors_are_closed(data, count):
    sent, received = socket.socketpair()
    before = memories()
    kept = [SharedImage.of(image) for image in images(count)]
    start = data if data.startswith(MAGIC) else data[: HEADER.size]
    if start:
        socket.send_fds(sent, [start], [each.descriptor for each in kept])
    sent.close()
    with pytest.raises((EOFError, ValueError, OSError)):
        Line(received, in_station=False).receive()
    del kept
    assert memories() <= before
    received.close()


def test_descriptors_that_are_missing_are_told(ends):
    sent, received = ends
    sent.sendall(HEADER.pack(MAGIC, 4, 2) + b"\0" + b"none")
    with pytest.raises(OSError, match="missing"):
        Line(received, in_station=False).receive()


def test_what_is_not_applicable_travels_whatever_libraries_do_to_exceptions(monkeypatch):
    """Dask has every exception pickled in a way of its own, by a function that an answer may not hold."""

    def elsewhere(error):
        return os.getcwd, ()

    monkeypatch.setitem(copyreg.dispatch_table, NotApplicable, elsewhere)
    assert as_if_sent(NotApplicable("too small")).reason == "too small"
