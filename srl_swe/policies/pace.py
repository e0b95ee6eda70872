"""How fast a server may be asked."""

from __future__ import annotations

import threading
import time

from srl_swe.errors import ConfigError


class Pace:
    """Gives requests their turn, at even distances. Used by several threads at once.

    Args:
        per_minute: Most requests a minute; ``None``: as many as there are.

    Raises:
        ConfigError: it is not above 0.
    """

    def __init__(self, per_minute: float | None = None) -> None:
        if per_minute is not None and not per_minute > 0:
            raise ConfigError(f"requests_per_minute: must be above 0, not {per_minute}")
        self._distance_s = 60.0 / per_minute if per_minute else 0.0
        self._next = self._held_until = 0.0
        self._lock = threading.Lock()

    def wait(self, closed: threading.Event) -> bool:
        """Wait for the caller's turn; return whether it came, before ``closed`` was set."""
        with self._lock:
            turn = max(time.monotonic(), self._next)
            self._next = turn + self._distance_s
        while not closed.is_set():
            left = max(turn, self._held_until) - time.monotonic()
            if left <= 0:
                return True
            closed.wait(left)
        return False

    def hold(self, seconds: float) -> None:
        """Let nobody have a turn for some time: the server asks for it."""
        with self._lock:
            self._held_until = max(self._held_until, time.monotonic() + seconds)
