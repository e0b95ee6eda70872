"""The process that judges answers. It is run as a file, apart from the package; see `srl_swe.rewards.mathematics`.

It reads a JSON object a line from standard input (``kind``, ``answer``, ``key``, ``tolerance``, ``recipe``) and writes
one a line: ``{"score": 0.0 to 1.0}``; ``{"score": 0.0, "why": "limit: …"}`` where judging the answer took too much time
or memory; ``{"score": null, "why": …}`` where anything else went wrong. Its memory is limited, and so is the processor
time of each line: what goes over either in a way that cannot be caught ends this process, and no other.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_EXPONENT = re.compile(r"(?<![\w\\.])(\d+(?:\.\d+)?)[eE]([+-]?\d+)(?![\w.])")
_CHOICE = re.compile(r"\\text(?:bf|rm)?\s*\{\s*\(?([A-Za-z])\)?\s*\}|\(([A-Z])\)")


class _SpentError(BaseException):
    """The processor time of a line is used up. Not an `Exception`: libraries catch those and go on."""


def main(memory_mb: int, seconds: float) -> None:
    """Answer until standard input ends."""
    _limit(memory_mb)
    replies, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no reply
    for line in sys.stdin:
        request = json.loads(line)
        reply = _judge(request, seconds)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _limit(memory_mb: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # Linux: end with the parent, also where that is killed
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    for kind, most in ((resource.RLIMIT_AS, memory_mb << 20), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        with contextlib.suppress(ValueError, OSError):  # the caller's own limit may be lower
            resource.setrlimit(kind, (most, most))
    sys.setrecursionlimit(2_000)


def _judge(request: dict[str, Any], seconds: float) -> dict[str, Any]:
    try:
        if request["kind"] == "ready":
            _verifier()
            return {"score": 1.0}
        with _time_limit(seconds):
            return _score(request)
    except (MemoryError, RecursionError, _SpentError) as error:
        # The verifier itself has to fit; what an answer needs besides is the answer's doing.
        score = None if request["kind"] == "ready" else 0.0
        return {"score": score, "why": f"limit: {type(error).__name__.strip('_')}"}
    except Exception as error:
        return {"score": None, "why": f"{type(error).__name__}: {error}"[:500]}


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise when so much processor time is spent; up to a second later, in code that cannot be interrupted, end.

    Processor time and not the clock's: on a busy machine a right answer must not become a wrong one.
    """

    def spent(number: int, frame: object) -> None:  # noqa: ARG001
        raise _SpentError

    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, hard))
    signal.signal(signal.SIGPROF, spent)
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.25)  # again, where it was caught
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _score(request: dict[str, Any]) -> dict[str, Any]:
    if request["kind"] == "reasoning-gym":
        dataset, entry = _entry(request["recipe"])
        return {"score": float(dataset.score_answer(request["answer"], entry))}
    key, answer = request["key"], request["answer"]
    right = _equal(key, answer) or (request["tolerance"] > 0 and _near(key, answer, request["tolerance"]))
    return {"score": float(right)}


def _equal(key: str, answer: str) -> bool:
    """Whether the answer means the same as the key."""
    if _plain(key) == _plain(answer):
        return True
    parse, verify, _ = _verifier()
    golds, answers = _parsed(key), parse(_boxed(answer), parsing_timeout=None, raise_on_error=False)
    if not answers:
        return False
    if not golds:
        raise ValueError(f"the key {key!r} cannot be parsed")
    return bool(verify(list(golds), answers, timeout_seconds=None, raise_on_error=False))


def _near(key: str, answer: str, tolerance: float) -> bool:
    """Whether both are numbers, no more than the tolerance apart."""
    values = []
    for text in (key, answer):
        numbers = [v for v in _parsed(text) if getattr(v, "is_number", False)]
        if not numbers:
            return False
        try:
            values.append(complex(numbers[0]))
        except (TypeError, ValueError, OverflowError):  # no number that can be worked out
            return False
    # The tolerance itself is within; 1e-9 for what binary fractions lose.
    return abs(values[0] - values[1]) <= tolerance * (1 + 1e-9)


def _plain(text: str) -> str:
    """The text without what means nothing: spaces, dollars, text commands, case of words, a last full stop."""
    choice = _CHOICE.fullmatch(text.strip().strip("$").strip())
    if choice:
        return (choice[1] or choice[2]).upper()
    bare = re.sub(r"\\(?:text|textbf|mathrm|mbox)\s*\{([^{}]*)\}", r"\1", text)
    bare = re.sub(r"\\(?:left|right|,|;|!|\s)|[\s$]", "", bare).rstrip(".")
    return bare.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")


def _boxed(text: str) -> str:
    """The text as the verifier takes a final answer; ``4.5e33`` is a number and not a product with e."""
    return f"\\boxed{{{_EXPONENT.sub(lambda m: rf'{m[1]}*10^{{{int(m[2])}}}', text)}}}"


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[Any, ...]:
    parse, _, _ = _verifier()
    return tuple(parse(_boxed(text), parsing_timeout=None, raise_on_error=False))


@lru_cache(maxsize=1)
def _verifier() -> tuple[Any, Any, Any]:
    import logging

    import math_verify  # slow: a second

    logging.disable(logging.CRITICAL)  # says of every parse that it has no time limit of its own
    return math_verify.parse, math_verify.verify, math_verify


@lru_cache(maxsize=64)
def _dataset(name: str, seed: int, size: int, config: str) -> Any:
    import reasoning_gym

    return reasoning_gym.create_dataset(name, seed=seed, size=size, **json.loads(config))


@lru_cache(maxsize=256)
def _entry(recipe: str) -> tuple[Any, Any]:
    made = json.loads(recipe)
    dataset = _dataset(made["dataset"], made["seed"], made["size"], json.dumps(made["config"]))
    return dataset, dataset[made["index"]]


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), float(sys.argv[2]))
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(1)
