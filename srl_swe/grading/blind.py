"""Changed copies of a task's hidden tests that are known to fail with the right fix."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from srl_swe.files import write_atomically
from srl_swe.grading.changed_tests import changed
from srl_swe.grading.hidden_run import run_hidden
from srl_swe.records import PreparedTask, TestOutcome
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.locks import file_lock

_COPIES = 2
_FORM = 4
"""Raised when what is made or kept changes, so that older ones are made again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangedTests:
    """One changed copy of the hidden test files."""

    files: Mapping[str, str]
    """Path to text, of all hidden test files."""
    must_fail: tuple[str, ...]
    """The tests, of those that are graded, whose changed copy fails with the gold patch."""


def changed_copies(prepared: PreparedTask, *, backend: str) -> list[ChangedTests]:
    """Make the copies, or take them from the cache; empty where nothing in the tests can be changed.

    Raises:
        InfrastructureError: a copy could not be tried.
        StorageError: the cache cannot be written.
    """
    folder = cache_dir() / "changed-tests"
    folder.mkdir(exist_ok=True)
    key = hashlib.sha256(f"{_FORM}\n{prepared.image}\n{prepared.task.content_hash}".encode()).hexdigest()[:32]
    kept = folder / f"{key}.json"
    with file_lock(folder / f"{key}.lock"):
        if kept.exists():
            return _read(kept)
        copies = [copy for seed in range(_COPIES) if (copy := _make(prepared, seed, backend)) is not None]
        write_atomically(kept, json.dumps([{"files": dict(c.files), "must_fail": c.must_fail} for c in copies]))
        return copies


def _read(kept: Path) -> list[ChangedTests]:
    return [
        ChangedTests(files=copy["files"], must_fail=tuple(copy["must_fail"])) for copy in json.loads(kept.read_text())
    ]


def _make(prepared: PreparedTask, seed: int, backend: str) -> ChangedTests | None:
    task = prepared.task
    graded = (*task.fail_to_pass, *task.pass_to_pass)
    run_files = {node_id.partition("::")[0] for node_id in graded}
    files = dict(prepared.test_files)
    touched: set[tuple[str, str]] = set()
    for path in sorted(run_files & files.keys()):
        files[path], names = changed(files[path], seed)
        touched |= {(path, name) for name in names}
    candidates = [name for name in graded if _function(name) in touched]
    if not candidates:
        return None
    run = run_hidden(prepared, prepared.gold_patch, files, backend=backend, must_fail=candidates)
    if run.trouble:
        return None
    report = run.report(candidates)
    failing = tuple(name for name, outcome in report.outcomes.items() if outcome is TestOutcome.FAILED)
    return ChangedTests(files=files, must_fail=failing) if report.finished and failing else None


def _function(node_id: str) -> tuple[str, str]:
    """(file, function) of a node id; a parameter may hold ``::`` and brackets itself."""
    path, _, rest = node_id.partition("::")
    return path, rest.partition("[")[0].rpartition("::")[2]
