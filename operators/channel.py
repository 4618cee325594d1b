"""Rows with pixels between two processes, copied as little as a socket allows.

Pickling a minute of video into one message and taking it apart again touched fresh memory four
times and cost 3 s for each GB. Here large bytes and arrays travel beside the pickle: they are
written from where they lie and received where they stay, for 0.6 s a GB. Whoever receives says
how much he takes, and how long he waits.
"""

import io
import pickle
import socket
import struct
from typing import Any

_LARGE_BYTES = 1 << 16
"""Smaller bytes stay in the pickle."""

_HEADER = struct.Struct("!QQQ")
"""Bytes of the pickle; how many bytes objects and how many arrays follow it."""


class TooLargeError(Exception):
    """A message is larger than its sender may send or its receiver takes."""


class Channel:
    """One end of a connection that carries whatever can be pickled."""

    def __init__(self, end: socket.socket) -> None:
        """Take over a connected, blocking stream socket."""
        self._socket = end

    def send(self, value: object, limit_bytes: int | None = None) -> None:
        """Send a value.

        Args:
            value: Anything that can be pickled.
            limit_bytes: Most bytes of the message.

        Raises:
            TooLargeError: It is larger; nothing was sent.
        """
        target = io.BytesIO()
        pickler = _Pickler(target)
        pickler.dump(value)
        data = target.getbuffer()
        buffers: list[bytes | memoryview] = [*pickler.strings, *pickler.arrays]
        sizes = [len(data), *map(len, buffers)]
        if limit_bytes is not None and sum(sizes) + 8 * len(sizes) > limit_bytes:
            raise TooLargeError
        header = _HEADER.pack(len(data), len(pickler.strings), len(pickler.arrays))
        self._socket.sendall(header + struct.pack(f"!{len(buffers)}Q", *sizes[1:]))
        self._socket.sendall(data)
        for buffer in buffers:
            self._socket.sendall(buffer)

    def receive(self, limit_bytes: int | None = None, wait_seconds: float | None = None) -> Any:
        """Receive a value.

        Args:
            limit_bytes: Most bytes of the message.
            wait_seconds: Longest silence, in the middle of a message too.

        Raises:
            EOFError: The other end is closed.
            TimeoutError: Nothing came for so long.
            TooLargeError: The message is larger. It was left where it is, so the channel is of
                no more use.
        """
        self._set_timeout(wait_seconds)
        size, strings, arrays = _HEADER.unpack(self._exactly(_HEADER.size))
        count = strings + arrays
        _check(size + 8 * (1 + count), limit_bytes)
        sizes = struct.unpack(f"!{count}Q", self._exactly(8 * count))
        _check(size + 8 * (1 + count) + sum(sizes), limit_bytes)
        data = self._exactly(size)
        buffers = [self._exactly(each) for each in sizes]
        return _Unpickler(data, buffers[:strings], buffers[strings:]).load()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _set_timeout(self, seconds: float | None) -> None:
        """Let the kernel end a wait: Python's own timeout would take large messages in small pieces."""
        whole, part = divmod(0.0 if seconds is None else max(seconds, 0.001), 1)
        timeval = struct.pack("@ll", int(whole), int(part * 1_000_000))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)

    def _exactly(self, size: int) -> bytes:
        """Receive so many bytes: in one piece, unless a signal comes in between."""
        data = b""
        while len(data) < size:
            try:
                more = self._socket.recv(size - len(data), socket.MSG_WAITALL)
            except BlockingIOError:
                raise TimeoutError from None
            if not more:
                raise EOFError
            data = data + more if data else more
        return data


def _check(size: int, limit_bytes: int | None) -> None:
    if limit_bytes is not None and size > limit_bytes:
        raise TooLargeError


class _Pickler(pickle.Pickler):
    """Sets large bytes and arrays aside."""

    def __init__(self, target: io.BytesIO) -> None:
        super().__init__(target, protocol=5, buffer_callback=self._is_small)
        self.strings: list[bytes] = []
        self.arrays: list[memoryview] = []

    def persistent_id(self, value: object) -> int | None:
        """Name large bytes by their place."""
        if type(value) is not bytes or len(value) < _LARGE_BYTES:
            return None
        self.strings.append(value)
        return len(self.strings) - 1

    def _is_small(self, buffer: pickle.PickleBuffer) -> bool:
        """Tell whether the memory of an array stays in the pickle."""
        view = buffer.raw()
        if len(view) >= _LARGE_BYTES:
            self.arrays.append(view)
        return len(view) < _LARGE_BYTES


class _Unpickler(pickle.Unpickler):
    """Puts back what was set aside."""

    def __init__(self, data: bytes, strings: list[bytes], arrays: list[bytes]) -> None:
        super().__init__(io.BytesIO(data), buffers=arrays)
        self.strings = strings

    def persistent_load(self, place: int) -> bytes:
        """Find bytes by their place."""
        return self.strings[place]
