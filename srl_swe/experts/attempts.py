"""The journal of a teacher's attempts: everything that was paid for, a line each, written as soon as it is known.

What is kept and what is rejected is derived from it, so that nothing is ever asked for twice.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from srl_swe.errors import ConfigError
from srl_swe.experts.secrets import secrets_in
from srl_swe.experts.teaching import Attempt
from srl_swe.files import append_line, resume_lines
from srl_swe.records import Ending, Split, Step

Outcome = Literal["solved", "unsolved", "tampering", "secret", "limit", "malformed", "infrastructure", "stopped"]
"""``limit``: too many steps; ``infrastructure`` and ``stopped`` say nothing about the teacher and are tried again."""
UNJUDGED: tuple[Outcome, ...] = ("infrastructure", "stopped")
SPENT = "the budget was used up"
"""Why an attempt was stopped that nobody interrupted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempted:
    """One attempt of a teacher at a task."""

    task_id: str
    """The task."""
    task_hash: str
    """Its content when it was tried."""
    split: Split
    """Its split."""
    problem_statement: str
    """The problem as the teacher was given it."""
    license: str
    """Under which terms the repository's text in the observations may be passed on."""
    attempt: int
    """Which attempt of the task, from 0."""
    model: str
    """The teacher's model."""
    endpoint: str
    """Host of the server."""
    temperature: float
    """Of its answers."""
    prompt_version: str
    """See `srl_swe.experts.teaching.Setting`."""
    outcome: Outcome
    """What became of it."""
    reason: str
    """In words."""
    malformed: int
    """Answers that held no action; not among the steps."""
    prompt_tokens: int
    """Tokens read."""
    completion_tokens: int
    """Tokens written."""
    cost: float | None
    """At the prices given; ``None``: none were given."""
    seconds: float
    """Wall-clock seconds."""
    steps: tuple[Step, ...]
    """What was done; empty where the attempt was not judged."""

    @property
    def key(self) -> tuple[str, str, str, str, int, float]:
        """What it must share with a wanted attempt to stand for it."""
        return self.task_id, self.task_hash, self.model, self.prompt_version, self.attempt, self.temperature

    @property
    def judged(self) -> bool:
        """Whether it says something about the teacher."""
        return self.outcome not in UNJUDGED

    @property
    def tokens(self) -> int:
        """Tokens read and written."""
        return self.prompt_tokens + self.completion_tokens


class AttemptJournal:
    """The attempts of one file, on the disk as they come. Used by several threads at once.

    Raises:
        ConfigError: the file is not such a journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._attempts = [
            _parse(record, where=f"{path}: attempt {n}") for n, record in enumerate(resume_lines(path), start=1)
        ]
        self._lock = threading.Lock()

    @property
    def attempts(self) -> Sequence[Attempted]:
        """All of them, in the order in which they ended."""
        with self._lock:
            return list(self._attempts)

    def add(self, attempted: Attempted) -> None:
        """Write one down.

        Raises:
            StorageError: the disk is full, the folder is read-only …
        """
        with self._lock:
            append_line(self.path, dataclasses.asdict(attempted))
            self._attempts.append(attempted)


def judge(attempt: Attempt) -> tuple[Outcome, str]:
    """What became of an attempt, and in words why."""
    verdict, ending = attempt.verdict, attempt.ending
    if ending is None:
        return "stopped", SPENT
    if ending.is_error() or (verdict is not None and verdict.solved is None):
        return "infrastructure", attempt.error or "the environment failed"
    if ending is Ending.MALFORMED:
        return "malformed", f"{attempt.malformed} answers held no action"
    if ending.is_truncated():
        return "limit", f"not submitted after {len(attempt.steps) + attempt.malformed} answers"
    if verdict is not None and verdict.tampering:
        return "tampering", "; ".join(verdict.tampering)
    if verdict is None or not verdict.solved:
        return "unsolved", "the hidden tests fail"
    for k, step in enumerate(attempt.steps, start=1):
        if kinds := secrets_in(f"{step.thought}\n{step.action}\n{step.observation}"):
            return "secret", f"step {k} holds a secret: {', '.join(kinds)}"
    return "solved", "the hidden tests pass"


def _parse(record: dict[str, Any], *, where: str) -> Attempted:
    try:
        steps = tuple(Step(**step) for step in record["steps"])
        attempted = Attempted(**record | {"steps": steps})
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{where}: not a teacher's attempt: {error}") from error
    if attempted.outcome not in get_args(Outcome):
        raise ConfigError(
            f"{where}: outcome: expected one of {', '.join(get_args(Outcome))}, not {attempted.outcome!r}"
        )
    return attempted
