r"""Whether a maths answer is right, decided in another process that cannot take this one down.

The verifier is ``math-verify`` (Hugging Face, Apache-2.0), which parses LaTeX and plain text and compares with sympy.
Two whole numbers are compared here; everything else goes to a worker process with limits on memory and processor time.

- No final answer, one that cannot be parsed, or one that takes too much time or memory to compare is wrong: 0.
- A worker that ends or hangs for another reason is tried again in a fresh one; the second time the score is ``None``,
  and counted in `AnswerChecker.failures`. That is a failure of the infrastructure, and never a reward.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from srl_swe.errors import ConfigError, MissingDependencyError
from srl_swe.records import AnswerKey, Score
from srl_swe.rewards.answers import final_answer, whole_number, without_unit

_WORKER = Path(__file__).with_name("answer_worker.py")
_REQUESTS_A_WORKER = 20_000


class AnswerChecker:
    """Judges answers; may be called from several threads. Worker processes start when they are first needed.

    Args:
        workers: Processes at a time.
        seconds: Processor time that one comparison may take.
        memory_mb: Address space of a worker, in MiB.
        patience_s: Wall-clock seconds after which a worker is given up.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self, *, workers: int = 1, seconds: float = 2.0, memory_mb: int = 2048, patience_s: float = 120.0
    ) -> None:
        if workers < 1 or not seconds > 0 or memory_mb < 1 or not patience_s > 0:
            raise ConfigError(
                f"AnswerChecker: workers ({workers}), seconds ({seconds}), memory_mb ({memory_mb}) and patience_s "
                f"({patience_s}) must be above 0"
            )
        self.failures = 0
        """Answers that could not be judged: their score is ``None``."""
        self.limits = 0
        """Answers judged wrong since comparing them took too much time or memory."""
        self._arguments = (memory_mb, seconds, patience_s)
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)
        self._count = workers
        self._lock = threading.Lock()

    def score(self, text: str, key: AnswerKey) -> Score:
        """Judge a solution's text.

        Args:
            text: What the student wrote, without its thought; its last final answer counts.
            key: What is right.

        Returns:
            ``value`` 1 or 0 (reasoning-gym: between them too), ``None`` where it could not be judged; parts
            ``answered`` (0 or 1) and, where a limit decided, ``limit`` (1).

        Raises:
            MissingDependencyError: the verifier is not installed.
        """
        answer = final_answer(text)
        if not answer:
            return Score(value=0.0, parts={"answered": 0.0})
        value, limited = self._judge(answer, key)
        return Score(value=value, parts={"answered": 1.0} | ({"limit": 1.0} if limited else {}))

    def equal(self, first: str, second: str) -> bool | None:
        """Whether two final answers mean the same (majority votes need it); ``None``: it could not be judged."""
        value, _ = self._judge(second, AnswerKey(answer=first))
        return None if value is None else value == 1.0

    def close(self) -> None:
        """End the workers; those that are needed later start anew."""
        for worker in [self._idle.get() for _ in range(self._count)]:
            if worker is not None:
                worker.end()
            self._idle.put(None)

    def _judge(self, answer: str, key: AnswerKey) -> tuple[float | None, bool]:
        if key.scorer == "math-verify":
            answer = without_unit(answer)
            numbers = whole_number(key.answer), whole_number(answer)
            if None not in numbers:
                off = abs((numbers[0] or 0) - (numbers[1] or 0))
                return float(off == 0 or off <= key.tolerance), False
        _require("math_verify" if key.scorer == "math-verify" else "reasoning_gym")
        request = {
            "kind": key.scorer,
            "answer": answer,
            "key": key.answer,
            "tolerance": key.tolerance,
            "recipe": key.recipe,
        }
        reply: dict[str, Any] = {}
        for _ in range(2):
            reply = self._ask(request)
            if reply["score"] is not None:
                break
        limited = str(reply.get("why", "")).startswith("limit")
        with self._lock:
            self.failures += reply["score"] is None
            self.limits += limited
        return reply["score"], limited

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        worker = self._idle.get()
        try:
            if worker is None or not worker.usable:
                if worker is not None:
                    worker.end()
                worker = _Worker(*self._arguments)
            return worker.ask(request)
        except OSError as error:  # not enough memory to start a process …
            return {"score": None, "why": f"{type(error).__name__}: {error}"}
        finally:
            self._idle.put(worker)


class _Worker:
    """One worker process, spoken to by one thread at a time."""

    def __init__(self, memory_mb: int, seconds: float, patience_s: float) -> None:
        self._patience_s = patience_s
        command = [sys.executable, "-P", str(_WORKER), str(memory_mb), str(seconds)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        self._owner = os.getpid()
        self._buffer = b""
        self._asked = 0
        atexit.register(self.end)
        self.usable = self._exchange({"kind": "ready"})["score"] is not None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply; where the process ended or hangs, why, and the worker is of no more use."""
        if not self.usable:
            return {"score": None, "why": "the worker did not start"}
        self._asked += 1
        reply = self._exchange(request)
        # sympy's caches grow without end; what raised an error of ours may have left it in a strange state.
        if self._asked >= _REQUESTS_A_WORKER or reply["score"] is None or "why" in reply:
            self.usable = False
        return reply

    def end(self) -> None:
        """Kill the process, and wait for it. In a process that was forked off, it is not ours to kill."""
        self.usable = False
        if os.getpid() != self._owner:
            return
        atexit.unregister(self.end)
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                assert stream is not None
                stream.close()

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._read_line(time.monotonic() + self._patience_s)
            reply: dict[str, Any] = json.loads(line)
            return reply
        except TimeoutError:
            why = f"no reply within {self._patience_s:g} s"
        except (OSError, ValueError):
            why = ""
        code = self._process.poll()
        self.end()
        if code == -signal.SIGXCPU:
            return {"score": 0.0, "why": "limit: processor time"}
        return {"score": None, "why": why or f"the worker ended with {code}"}

    def _read_line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        poll = select.poll()  # select.select refuses descriptors from 1024 on
        poll.register(descriptor, select.POLLIN)
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError
            data = os.read(descriptor, 65536)
            if not data:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout=10)
                raise OSError("the worker has ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


@lru_cache(maxsize=1)
def shared_checker() -> AnswerChecker:
    """The checker that all environments of a process share."""
    return AnswerChecker()


# A process that is forked off must not speak to its parent's workers.
os.register_at_fork(after_in_child=shared_checker.cache_clear)


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        what = "srl-swe[reasoning-gym]" if package == "reasoning_gym" else "math-verify[antlr4_13_2]"
        raise MissingDependencyError(f"{package} is not installed: pip install '{what}'")
