"""What a synthesis has done, a line a mutant, so that an interrupted one goes on: ``SUITE/.mining/<package>.jsonl``."""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_swe.errors import StorageError, TaskError
from srl_swe.files import append_line, resume_lines, write_atomically
from srl_swe.records import Mutation
from srl_swe.sandbox.locks import lock_if_free

KEPT = "kept"
FOLDER = ".mining"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One mutant that was tried."""

    function: str
    """``path:name`` of the function it is in."""
    mutations: tuple[Mutation, ...]
    outcome: str
    """`KEPT`, or why not, in words that many share."""
    task: str = ""
    """The task's name, where it was kept."""
    broken: tuple[str, ...] = ()
    """Node ids of the tests that it breaks."""
    detail: str = ""
    """More of why not."""


@contextlib.contextmanager
def alone(suite: Path) -> Iterator[None]:
    """Be the only synthesis of a suite; the kernel lets go when the process dies.

    Raises:
        TaskError: another one is at work.
        StorageError: the suite cannot be written.
    """
    path = suite / FOLDER / "lock"
    with contextlib.ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            ours = held.enter_context(lock_if_free(path))
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {error.strerror or error}") from None
        if not ours:
            raise TaskError(f"{suite}: another synthesis is at work on it; wait for it, or interrupt it")
        yield


class Journal:
    """One package's.

    Raises:
        ConfigError: a line is not a JSON object.
        TaskError: one is not one of ours.
        StorageError: it cannot be written.
    """

    def __init__(self, suite: Path, label: str) -> None:
        self._path = suite / FOLDER / f"{label}.jsonl"
        self._survey = suite / FOLDER / f"{label}.survey.json"
        self.entries: list[Entry] = []
        """In the order in which they were tried."""
        self.finished: dict[str, Any] | None = None
        """What it was told to do when it came to its end; ``None``: it did not."""
        self._read()

    def add(self, entry: Entry) -> None:
        """Write one line."""
        self.entries.append(entry)
        append_line(self._path, dataclasses.asdict(entry))

    def finish(self, **settings: Any) -> None:
        """Say that nothing is left to do under these settings."""
        self.finished = settings
        append_line(self._path, {"finished": settings})

    @property
    def survey(self) -> str | None:
        """The text that was kept last."""
        return self._survey.read_text("utf-8") if self._survey.is_file() else None

    @survey.setter
    def survey(self, text: str) -> None:
        write_atomically(self._survey, text)

    def refusals(self) -> Counter[str]:
        """How often each reason was given."""
        return Counter(entry.outcome for entry in self.entries if entry.outcome != KEPT)

    def kept(self) -> list[Entry]:
        """Those that became tasks."""
        return [entry for entry in self.entries if entry.outcome == KEPT]

    def _read(self) -> None:
        for number, fields in enumerate(resume_lines(self._path), 1):
            try:
                if "finished" in fields:
                    self.finished = fields["finished"]
                    continue
                fields["mutations"] = tuple(Mutation(**mutation) for mutation in fields["mutations"])
                self.entries.append(Entry(**fields | {"broken": tuple(fields["broken"])}))
            except (ValueError, TypeError, KeyError) as error:
                raise TaskError(f"{self._path}: row {number}: expected a line of a synthesis: {error}") from None


def key(mutations: Sequence[Mutation]) -> tuple[tuple[str, str, int, int, int], ...]:
    """What tells mutants of one release apart."""
    return tuple(sorted((m.path, m.operator, m.line, m.column, m.variant) for m in mutations))
