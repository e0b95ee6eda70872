"""The connection to a program that has two FIFOs for its input and output."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time

_AT_ONCE = 1 << 18
_GRACE_S = 1.0
_SLICE_MS = 500


class FifoChannel:
    """A `srl_swe.sandbox.enclosure.Channel` over two descriptors, which it owns; both are non-blocking."""

    def __init__(self, to_program: int, from_program: int) -> None:
        self._input = to_program
        self._output = from_program
        self._pending = bytearray()
        self._ended = False
        self._hung_up = False
        self._reading = threading.Lock()
        self._closing = threading.Lock()
        self._readable = select.poll()
        self._readable.register(from_program, select.POLLIN)

    def send(self, data: bytes) -> None:
        """See `srl_swe.sandbox.enclosure.Channel.send`."""
        rest = memoryview(data)
        both: select.poll | None = None
        while rest and not self._hung_up:
            try:
                rest = rest[os.write(self._input, rest) :]
            except BlockingIOError:
                # What it says meanwhile is taken in: it may wait for that before it reads on.
                if both is None:
                    both = select.poll()
                    both.register(self._input, select.POLLOUT)
                    both.register(self._output, select.POLLIN)
                ready = dict(both.poll(_SLICE_MS))
                if self._output in ready and not self._take():
                    both.unregister(self._output)
            except OSError:  # nobody reads any more
                return

    def receive(self, seconds: float) -> bytes | None:
        """See `srl_swe.sandbox.enclosure.Channel.receive`."""
        deadline = time.monotonic() + seconds
        with self._reading:
            while not (self._pending or self._ended or self._hung_up):
                left = deadline - time.monotonic()
                # A millisecond is the least that can be waited for, and -1 would be for ever.
                if not self._readable.poll(max(0, left * 1000)):
                    if left > 0:
                        continue
                    return None
                self._take()
            data, self._pending = bytes(self._pending), bytearray()
            return b"" if self._hung_up else data

    def hang_up(self) -> None:
        """See `srl_swe.sandbox.enclosure.Channel.hang_up`."""
        with self._closing:
            self._hung_up = True
            if self._output >= 0:
                # One byte wakes the thread that waits; a FIFO that is full has woken it already.
                with contextlib.suppress(OSError):
                    waker = os.open(f"/proc/self/fd/{self._output}", os.O_WRONLY | os.O_NONBLOCK)
                    try:
                        os.write(waker, b"\0")
                    finally:
                        os.close(waker)
        if self._reading.acquire(timeout=_GRACE_S):
            self._reading.release()

    def close(self) -> None:
        """See `srl_swe.sandbox.enclosure.Channel.close`."""
        with self._closing:
            self._hung_up = True
            descriptors, self._input, self._output = (self._input, self._output), -1, -1
        for descriptor in descriptors:
            if descriptor >= 0:
                os.close(descriptor)

    def _take(self) -> bool:
        """Read what is there; return whether more may come."""
        try:
            data = os.read(self._output, _AT_ONCE)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        self._pending += data
        self._ended = self._ended or not data
        return bool(data)
