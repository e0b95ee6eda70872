"""A mutant that its tests notice, written as a task, and the grader's own word on it."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_swe.errors import SandboxError
from srl_swe.records import RepositorySource, Split
from srl_swe.tasks.folder import read_suite
from srl_swe.tasks.host_git import difference
from srl_swe.tasks.synthesis import journal as journals
from srl_swe.tasks.synthesis.candidates import Candidate, test_files
from srl_swe.tasks.synthesis.operators import apply
from srl_swe.tasks.synthesis.problem import problem_statement
from srl_swe.tasks.synthesis.subjects import Subject
from srl_swe.tasks.synthesis.survey import Survey
from srl_swe.tasks.validate import validate
from srl_swe.tasks.writing import TaskDraft, write_suite, write_task

_TIMEOUT_S = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What is to be made."""

    suite: Path
    """The suite that is written, or added to; its folder's name is its name."""
    per_package: int = 12
    """Most tasks of a package."""
    most_tried: int = 150
    """Most mutants of a package that are tried."""
    seed: int = 0
    """Of the order of mutants and of the wording."""
    heldout: frozenset[str] = frozenset()
    """Repositories of the held-out split, beside those that suites in the same folder hold out."""
    requirements: tuple[str, ...] = ()
    """More pip requirements of the packages' tests."""
    repeats: int = 1
    """Gradings of each patch before a task is kept; 0: none, what the tests did in the warm container is enough."""
    backend: str = "docker"
    """Where containers come from."""


class TaskMaker:
    """Writes the tasks of one package."""

    def __init__(self, subject: Subject, sources: Mapping[str, str], settings: Settings) -> None:
        self._subject = subject
        self._sources = sources
        self._settings = settings
        self._tests = subject.tests()

    def make(
        self, candidate: Candidate, evidence: Sequence[dict[str, Any]], found: Survey, broken: tuple[str, ...]
    ) -> tuple[str, str, str]:
        """Write and confirm a task; return why not, more of that, and its name.

        Args:
            candidate: The mutant.
            evidence: What its failing tests show.
            found: The survey of the package.
            broken: The tests that it breaks.

        Raises:
            SandboxError: the grader could not do its work.
            StorageError: the task cannot be written.
        """
        rng = random.Random(f"{self._settings.seed} {journals.key(candidate.mutations)}")
        subject = self._subject
        release = f"{subject.name} {subject.version}".strip()
        files = test_files(broken)
        problem = problem_statement(
            [one for one in evidence if one["test"].partition("::")[0] in files],
            self._tests,
            name=subject.name,
            release=release,
            rng=rng,
        )
        if problem is None:
            return "nothing to show", "", ""
        name = self._name(broken)
        if self._settings.repeats:
            reason, detail = self._graded(candidate, found, broken, problem, name)
            if reason:
                return reason, detail, ""
        write_task(self._draft(candidate, found, broken, problem, name, self._settings.suite), self._settings.suite)
        return "", "", name

    def _graded(
        self, candidate: Candidate, found: Survey, broken: tuple[str, ...], problem: str, name: str
    ) -> tuple[str, str]:
        """Why the grader refuses a task that is not in the suite yet."""
        subject = self._subject
        drafts = self._settings.suite / journals.FOLDER / "drafts" / f"{subject.label}"
        suite_name = self._settings.suite.resolve().name
        try:
            write_suite(drafts, name=suite_name, description="")
            draft = self._draft(candidate, found, broken, problem, name, drafts)
            checked = validate(
                write_task(draft, drafts, replace=True), repeats=self._settings.repeats, backend=self._settings.backend
            )
            if checked.infrastructure:
                raise SandboxError("; ".join(checked.problems))
            return ("", "") if checked.ok else ("the grader does not agree", "; ".join(checked.problems))
        finally:
            shutil.rmtree(drafts, ignore_errors=True)

    def _draft(
        self, candidate: Candidate, found: Survey, broken: tuple[str, ...], problem: str, name: str, suite: Path
    ) -> TaskDraft:
        files = test_files(broken)
        wrong = {test for test in broken if test.partition("::")[0] in files}
        subject = self._subject
        if subject.version:
            source = RepositorySource(
                kind="pypi", location=subject.origin, version=subject.version, mutations=candidate.mutations
            )
        else:
            place = os.path.relpath(subject.origin, suite.resolve() / "tasks" / name)
            source = RepositorySource(kind="folder", location=place, fixed=True)
        return TaskDraft(
            name=name,
            repository=subject.name,
            split=self._split(),
            problem_statement=problem,
            source=source,
            requirements=found.requirements,
            install=found.install,
            gold_patch="" if subject.version else self._gold(candidate),
            test_files={path: self._tests[path] for path in files},
            fail_to_pass=tuple(test for path in files for test in found.files[path] if test in wrong),
            pass_to_pass=tuple(test for path in files for test in found.files[path] if test not in wrong),
            excluded_tests=tuple(test for path in files for test in found.excluded.get(path, ())),
            timeout_s=_TIMEOUT_S,
        )

    def _gold(self, candidate: Candidate) -> str:
        path = candidate.mutations[0].path
        base = self._subject.folder.with_name("mutated")
        (base / path).parent.mkdir(parents=True)
        (base / path).write_bytes(apply(self._sources[path], candidate.mutations).encode())
        try:
            changes: dict[str, bytes | None] = {path: self._sources[path].encode()}
            return difference(base, changes, base.with_name("scratch")).decode()
        finally:
            for folder in (base, base.with_name("scratch")):
                shutil.rmtree(folder, ignore_errors=True)

    def _name(self, broken: tuple[str, ...]) -> str:
        """After the package and the first test that breaks."""
        test = broken[0].partition("[")[0].rpartition("::")[2].removeprefix("test")
        words = [word for word in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "-", test).lower()) if word]
        stem = "-".join([self._subject.name.lower(), *words[:5]])
        tasks = self._settings.suite / "tasks"
        name, number = stem, 2
        while (tasks / name).exists():
            name, number = f"{stem}-{number}", number + 1
        return name

    def _split(self) -> Split:
        if self._subject.name in self._settings.heldout:
            return "heldout"
        splits = {
            task.split
            for path in sorted(self._settings.suite.resolve().parent.glob("*/suite.toml"))
            if any((path.parent / "tasks").glob("*/task.toml"))
            for task in read_suite(path.parent)
            if task.repository == self._subject.name
        }
        return splits.pop() if len(splits) == 1 else "train"
