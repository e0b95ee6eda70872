"""The connection to a program in a container: the socket that the engine hands over when an exec starts."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Sequence
from typing import Any

from srl_swe.sandbox.calls import talking

_HEADER = struct.Struct(">BxxxL")
"""Of a frame: which stream, three unused bytes, how many bytes follow."""
_AT_ONCE = 1 << 18
_GRACE_S = 1.0


class ExecChannel:
    """A `srl_swe.sandbox.enclosure.Channel` over the Docker API."""

    def __init__(self, api: Any, container: str, command: Sequence[str], *, user: str) -> None:
        """Start the command.

        Raises:
            SandboxError: it cannot be started.
            SandboxLostError: the container is gone.
        """
        with talking():
            # Not in the image's working directory, which may have been removed: then nothing would start.
            made = api.exec_create(container, list(command), stdin=True, tty=False, user=user, workdir="/")
            self._stream: Any = api.exec_start(made["Id"], socket=True)
        # The SDK gives a wrapper of the socket; by SSH and TLS, the channel or the socket itself.
        self._socket: Any = getattr(self._stream, "_sock", self._stream)
        self._reading = threading.Lock()
        self._pending = bytearray()

    def send(self, data: bytes) -> None:
        """See `srl_swe.sandbox.enclosure.Channel.send`."""
        self._socket.settimeout(None)
        with contextlib.suppress(OSError):
            self._socket.sendall(data)

    def receive(self, seconds: float) -> bytes | None:
        """See `srl_swe.sandbox.enclosure.Channel.receive`."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                with self._reading:
                    self._socket.settimeout(max(0.0, deadline - time.monotonic()))
                    data = self._socket.recv(_AT_ONCE)
            except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
                return None
            except OSError:
                data = b""
            if not data:
                # What the engine says of a program that it could not start comes without a frame.
                rest, self._pending = bytes(self._pending), bytearray()
                return rest
            self._pending += data
            if content := self._content():
                return content

    def hang_up(self) -> None:
        """See `srl_swe.sandbox.enclosure.Channel.hang_up`.

        The socket must not be closed before: its descriptor would be given to the next one that is opened, and the
        thread would go on waiting for that.
        """
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._reading.acquire(timeout=_GRACE_S):
            self._reading.release()

    def close(self) -> None:
        """See `srl_swe.sandbox.enclosure.Channel.close`."""
        # From the outside in: the response reads from the stream, and the stream from the socket.
        for thing in (getattr(self._stream, "_response", None), self._stream, self._socket):
            if thing is not None:
                with contextlib.suppress(OSError):
                    thing.close()

    def _content(self) -> bytes:
        """Take the whole frames that have come, of whichever stream they are."""
        pieces = []
        at = 0
        while len(self._pending) - at >= _HEADER.size:
            _, size = _HEADER.unpack_from(self._pending, at)
            start = at + _HEADER.size
            if len(self._pending) - start < size:
                break
            pieces.append(self._pending[start : start + size])
            at = start + size
        del self._pending[:at]
        return b"".join(pieces)
