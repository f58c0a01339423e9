"""The line between the coordinator and a station: messages, and descriptors of the memory that their images are in."""

from __future__ import annotations

import copyreg
import io
import os
import pickle
import socket
import struct
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from qbench.execute.shared import Description, SharedImage
from qbench.images.image import Image

HEADER = struct.Struct("!8sQI")
MAGIC = b"qbench\r\n"
"""What a message begins with; a plugin may write anything to a descriptor that it happens to have."""
MOST_DESCRIPTORS = 200
"""In one piece; Linux takes 253."""
ANSWERS = {
    "qbench.contracts.artifact": {"Artifact"},
    "qbench.contracts.codec": {"Complexity"},
    "qbench.contracts.metric": {"Explanation", "ExplanationTable"},
    "qbench.errors": {"NotApplicable"},
    "qbench.execute.answering": {"Answer"},
    "qbench.execute.coder": {"Decoded", "Encoded"},
    "qbench.execute.desks": {"Promises", "Unpacked"},
    "qbench.images.image": {"PixelFormat"},
    "qbench.records": {"CallTiming", "Failure"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.numeric": {"_frombuffer"},
    "numpy._core.multiarray": {"_reconstruct"},
}
"""What a station's answer may consist of, by module: names of what does nothing when it is made. An answer is data;
what a plugin returned must not run code here."""


class Line:
    """One end of a line. Images that are sent arrive as images at a station, as :class:`SharedImage` elsewhere.

    Args:
        in_station: whether this is a station's end.
    """

    def __init__(self, connection: socket.socket, *, in_station: bool) -> None:
        self._connection = connection
        self._in_station = in_station

    def fileno(self) -> int:
        """For ``select``."""
        return self._connection.fileno()

    def send(self, message: Any) -> None:
        """Send a message.

        Raises:
            OSError: the other end is gone.
            Exception: whatever keeps the message from being pickled; nothing has been sent then.
        """
        buffer = io.BytesIO()
        pickler = _Pickler(buffer)
        try:
            pickler.dump(message)
            descriptors = [shared.descriptor for shared in pickler.shared]
            header = memoryview(HEADER.pack(MAGIC, buffer.tell(), len(descriptors)))
            # In one piece, if possible: whoever waits at the other end is woken up once.
            while len(descriptors) > MOST_DESCRIPTORS:
                self._send([header], descriptors[:MOST_DESCRIPTORS])
                header, descriptors = memoryview(b"\0"), descriptors[MOST_DESCRIPTORS:]
            self._send([header, buffer.getbuffer()], descriptors)
        finally:
            for shared in pickler.made:
                shared.close()

    def receive(self) -> Any:
        """Receive a message.

        Raises:
            EOFError: the other end is gone.
            Exception: what arrives is no message, a ValueError if it does not even begin like one.
        """
        descriptors: list[int] = []
        try:
            magic, size, count = HEADER.unpack(self._receive(HEADER.size, descriptors))
            if magic != MAGIC:
                raise ValueError("no message")
            while (had := len(descriptors)) < count:
                self._receive(1, descriptors)
                if len(descriptors) == had:
                    raise OSError("descriptors are missing")
            data = self._exactly(size)
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise

        left = dict(enumerate(descriptors))

        def taken(index: int, description: Description) -> Image | SharedImage:
            shared = SharedImage(left.pop(index), description)
            return shared.image if self._in_station else shared

        try:
            return _Unpickler(io.BytesIO(data), taken, in_station=self._in_station).load()
        finally:
            for descriptor in left.values():
                os.close(descriptor)

    def close(self) -> None:
        """Close this end."""
        self._connection.close()

    def _send(self, pieces: Sequence[memoryview], descriptors: Sequence[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
        sent = self._connection.sendmsg(pieces, rights)
        for piece in pieces:
            if sent < len(piece):
                self._connection.sendall(piece[sent:])
            sent = max(0, sent - len(piece))

    def _receive(self, size: int, descriptors: list[int]) -> bytes:
        """Receive as many bytes, and what descriptors come with them."""
        data, received, flags, _ = socket.recv_fds(self._connection, size, MOST_DESCRIPTORS)
        descriptors += received
        if flags & socket.MSG_CTRUNC:
            raise OSError("no room for descriptors")
        if not data:
            raise EOFError
        return data + self._exactly(size - len(data))

    def _exactly(self, size: int) -> bytes:
        data = bytearray(size)
        view, done = memoryview(data), 0
        while done < size:
            count = self._connection.recv_into(view[done:])
            if not count:
                raise EOFError
            done += count
        return bytes(data)


def as_if_sent(message: Any) -> Any:
    """Return a message as it would come from a station, without a line between."""
    buffer = io.BytesIO()
    pickler = _Pickler(buffer)
    pickler.dump(message)
    buffer.seek(0)
    return _Unpickler(buffer, lambda index, _: pickler.shared[index], in_station=False).load()


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        # Libraries may have every exception in the process pickled in ways of their own (Dask does, by tblib).
        self.dispatch_table = {
            kind: reduce for kind, reduce in copyreg.dispatch_table.items() if not issubclass(kind, BaseException)
        }
        self.shared: list[SharedImage] = []
        self.made: list[SharedImage] = []

    def persistent_id(self, thing: Any) -> Any:
        if isinstance(thing, Image):
            shared = SharedImage.of(thing)
            self.made.append(shared)
        elif isinstance(thing, SharedImage):
            shared = thing
        else:
            return None
        self.shared.append(shared)
        return len(self.shared) - 1, shared.description


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, taken: Callable[[int, Description], Any], *, in_station: bool) -> None:
        super().__init__(file)
        self._taken = taken
        self._in_station = in_station

    def persistent_load(self, found: Any) -> Any:
        return self._taken(*found)

    def find_class(self, module: str, name: str) -> Any:
        if self._in_station or name in ANSWERS.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a station's answer holds a {module}.{name}")
