"""Work on many tasks in threads that nobody waits for when it is interrupted."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Protocol, TypeVar

from srl_swe.errors import ConfigError, InfrastructureError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Closable(Protocol):
    """What is closed when the work is interrupted: an environment, a sandbox, a connection."""

    def close(self) -> None:
        """End whatever a thread waits for in it."""


_Held = TypeVar("_Held", bound=Closable)


class SideBySide:
    """Threads, and what they have open."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        """Set once the work was interrupted or has failed."""
        self._lock = threading.Lock()
        self._open: dict[int, Closable] = {}

    @contextlib.contextmanager
    def holding(self, opened: _Held) -> Iterator[_Held]:
        """Close it if the work is interrupted meanwhile.

        Raises:
            InfrastructureError: it has been interrupted already.
        """
        with self._lock:
            if self.stopped.is_set():
                raise InfrastructureError("interrupted")
            self._open[id(opened)] = opened
        try:
            yield opened
        finally:
            with self._lock:
                self._open.pop(id(opened), None)

    def run(
        self, function: Callable[[_Item], _Result], items: Sequence[_Item], *, jobs: int, name: str = "work"
    ) -> list[_Result]:
        """Call a function with each item, ``jobs`` at a time; the results, in order.

        The first exception, Ctrl-C too, ends all: what is held is closed, what has not begun is not, and it is raised
        when the threads have ended.

        Raises:
            ConfigError: ``jobs`` is below 1.
        """
        if jobs < 1:
            raise ConfigError(f"jobs: must be at least 1, not {jobs}")
        pool = ThreadPoolExecutor(jobs, thread_name_prefix=name)
        try:
            futures = [pool.submit(function, item) for item in items]
            for future in as_completed(futures):
                future.result()
            return [future.result() for future in futures]
        except BaseException:
            with self._lock:
                self.stopped.set()
                held = list(self._open.values())
            for opened in held:
                with contextlib.suppress(Exception):
                    opened.close()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
