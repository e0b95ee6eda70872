"""What two suites share: a task of one that is, in all or in part, a task of the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from srl_swe.records import Task

Kind = Literal["repository", "patch"]

_TOKEN = re.compile(r"\w+|[^\w\s]")
_LEAST_TOKENS = 8
_OVERLAP = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """One thing that two suites share."""

    kind: Kind
    """``repository``: the same repository; ``patch``: the same change to the same file."""
    first: str
    """Task of the first suite."""
    second: str
    """Task of the second."""
    what: str
    """The repository's name, or the file and how much of the change is the same."""


def repository_key(name: str) -> str:
    """A repository's name without its owner, its spelling and the ``.git``: ``Pallets/Flask.git`` is ``flask``."""
    last = name.rstrip("/").removesuffix(".git").rpartition("/")[2].rpartition("__")[2]
    return re.sub(r"[^a-z0-9]+", "-", last.lower()).removeprefix("python-").strip("-")


def find_overlaps(first: Sequence[tuple[Task, str]], second: Sequence[tuple[Task, str]]) -> list[Overlap]:
    """Compare tasks, each with its gold patch.

    Returns:
        One overlap of kind ``repository`` for each repository that both have, then those of kind ``patch``, one for
        each pair of tasks and file.
    """
    found: list[Overlap] = []
    named = {repository_key(task.repository): task for task, _ in reversed(second)}
    for key, task in {repository_key(task.repository): task for task, _ in reversed(first)}.items():
        if key in named:
            found.append(
                Overlap(kind="repository", first=task.task_id, second=named[key].task_id, what=task.repository)
            )
    found.sort(key=lambda overlap: overlap.first)
    changes = [(task, changed_lines(patch)) for task, patch in second]
    for task, patch in first:
        ours = changed_lines(patch)
        for other, theirs in changes:
            for file in sorted(set(ours) & set(theirs)):
                share = overlap(ours[file], theirs[file])
                # Elsewhere, files of one name and a short line in common (`return None`) are chance.
                same = repository_key(task.repository) == repository_key(other.repository)
                if share >= _OVERLAP and (same or _tokens(ours[file] & theirs[file]) >= _LEAST_TOKENS):
                    what = f"{file}: {share:.0%} of the smaller change"
                    found.append(Overlap(kind="patch", first=task.task_id, second=other.task_id, what=what))
    return found


def _tokens(lines: set[str]) -> int:
    return len(_TOKEN.findall(" ".join(lines)))


def changed_lines(patch: str) -> dict[str, set[str]]:
    """The lines that a patch takes out or puts in, by file: without white space, marked by their side."""
    changed: dict[str, set[str]] = {}
    file, left, right = "", 0, 0
    for line in patch.splitlines():
        if left > 0 or right > 0:
            side = line[:1]
            left -= side in ("-", " ", "")
            right -= side in ("+", " ", "")
            if side in ("-", "+") and (text := "".join(line[1:].split())):
                changed.setdefault(file, set()).add(side + text)
        elif found := re.match(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", line):
            left, right = (int(count) if count is not None else 1 for count in found.groups())
        elif line.startswith(("--- ", "+++ ")):
            path = line[4:].partition("\t")[0].strip()
            if path != "/dev/null":
                file = path[2:] if path[:2] in ("a/", "b/") else path
    return changed


def overlap(ours: set[str], theirs: set[str]) -> float:
    """The part of the smaller change that the other has too, by lines or by tokens, whichever is more."""
    smaller = min(len(ours), len(theirs))
    lines = len(ours & theirs) / smaller if smaller else 0.0
    tokens, others = (set(_TOKEN.findall(" ".join(side))) for side in (ours, theirs))
    fewer = min(len(tokens), len(others))
    # Tokens alone are shared by any two changes of one file: nearly all must be the same.
    by_tokens = len(tokens & others) / max(len(tokens), len(others)) if fewer >= _LEAST_TOKENS else 0.0
    return max(lines, by_tokens if by_tokens >= 0.9 else 0.0)
