"""Tries many steps at a time, keeps those that are tasks, and writes down what became of each."""

from __future__ import annotations

import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from srl_swe.errors import EngineUnavailableError, InfrastructureError, StorageError, TaskError
from srl_swe.files import write_atomically
from srl_swe.records import Split
from srl_swe.tasks.folder import SUITE_FILE, read_task
from srl_swe.tasks.mining.candidates import Candidate, Limits, RefusedError, Step
from srl_swe.tasks.mining.failures import Failure, describe
from srl_swe.tasks.mining.journal import Journal
from srl_swe.tasks.mining.rewriting import Ask, rewrite
from srl_swe.tasks.mining.secrets import secrets_of
from srl_swe.tasks.mining.statement import draft
from srl_swe.tasks.mining.verify import Verified, verify
from srl_swe.tasks.validate import validate
from srl_swe.tasks.writing import TaskDraft, write_suite, write_task

_LONGEST_NAME = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class MiningResult:
    """What became of one step."""

    key: str
    """The step."""
    outcome: Literal["kept", "refused", "failed"]
    """``failed``: the world did, not the step; it is not in the journal, and is tried again next time."""
    reason: str = ""
    """Why it was not kept; or what is to be known of a task that was."""
    task: str = ""
    """The task's folder."""
    seconds: float = 0.0
    """Wall-clock seconds."""


class _StoppedError(Exception):
    """The user has interrupted: what is at work comes to its end early."""


@dataclass(frozen=True, kw_only=True)
class Miner:
    """What every step is tried with."""

    suite: Path
    """The suite's folder; it is made if it is not there."""
    split_of: Callable[[str], Split]
    """A repository's split."""
    limits: Limits = field(default_factory=Limits)
    """What is too much."""
    ask: Ask | None = None
    """A chat model that improves the statements' prose."""

    def attempt(self, step: Step, stop: threading.Event) -> MiningResult:
        """Try one step; a task that is kept is in the suite when this returns."""
        start = time.monotonic()

        def check() -> None:
            if stop.is_set():
                raise _StoppedError

        def ended(outcome: Literal["kept", "refused", "failed"], reason: str = "", task: str = "") -> MiningResult:
            seconds = time.monotonic() - start
            return MiningResult(key=step.key, outcome=outcome, reason=reason, task=task, seconds=seconds)

        try:
            with tempfile.TemporaryDirectory(prefix="srl-swe-mining-") as name:
                candidate = step.make(Path(name).resolve(), self.limits)
                if there := self._there(candidate):
                    return ended("kept", task=there)
                check()
                verified = verify(candidate, self.limits, check=check)
                statement, remark = self._statement(candidate, verified)
                check()
                drafted = task_draft(candidate, verified, statement, self.split_of(candidate.repository))
                task = self._keep(candidate, drafted)
                self._save_material(step, candidate, verified, task)
        except RefusedError as error:
            return ended("refused", str(error))
        except (EngineUnavailableError, StorageError):
            raise
        except (InfrastructureError, TaskError) as error:
            return ended("failed", " ".join(str(error).split())[:300])
        return ended("kept", remark, task)

    def _there(self, candidate: Candidate) -> str:
        """The suite's task of this very step, made by hand or by an earlier run; empty: there is none."""
        source = candidate.source
        for folder in sorted((self.suite / "tasks").glob(f"{candidate.repository}-*")):
            if (folder / "task.toml").is_file():
                other = read_task(folder).source
                if replace(other, source_paths=()) == replace(source, source_paths=()):
                    return folder.name
        return ""

    def _statement(self, candidate: Candidate, verified: Verified) -> tuple[str, str]:
        """(the problem statement, why a rewritten one was not taken)."""
        failures: dict[str, Failure] = {}
        for name in verified.fail_to_pass:
            seen = verified.failures.get(name)
            failure = describe(seen, verified.test_files) if seen is not None else None
            if failure is not None:
                failures[name] = failure
        if not failures:
            raise RefusedError("nothing that is certain can be said of how the tests fail")
        secrets = secrets_of(candidate.gold_patch, candidate.base, verified.test_files.values())
        text = draft(candidate.repository, candidate.notes, failures, secrets)
        if problem := secrets.leak(text):
            raise RefusedError(f"the problem statement gives the fix away: {problem}")
        return rewrite(text, secrets, self.ask) if self.ask is not None else (text, "")

    def _keep(self, candidate: Candidate, drafted: TaskDraft) -> str:
        """Validate a task beside the suite, and move it in."""
        with tempfile.TemporaryDirectory(prefix="srl-swe-mined-") as scratch:
            place = Path(scratch).resolve() / self.suite.resolve().name
            write_suite(place, name="mined", description="On its way into a suite.")
            result = validate(write_task(drafted, place), repeats=2)
        if not result.ok:
            raise _refusal_or_failure(result.problems)
        with _WRITING:
            named, again = _free_name(self.suite, drafted, candidate.suffix)
            return write_task(named, self.suite, replace=again).folder.name

    def _save_material(self, step: Step, candidate: Candidate, verified: Verified, task: str) -> None:
        """What a statement was drafted from: another can be drafted from it without a sandbox."""
        material = {"key": step.key, "notes": candidate.notes, "failures": verified.failures}
        text = json.dumps(material, indent=1, ensure_ascii=False)
        write_atomically(self.suite / ".mining" / "material" / f"{task}.json", text + "\n")


_WRITING = threading.Lock()
"""Two steps of one package may ask for the same name."""


def _refusal_or_failure(problems: Sequence[str]) -> Exception:
    """Why a task does not validate: because of itself, or because of the sandbox."""
    failed = [problem for problem in problems if problem.startswith("grading the ")]
    if failed:
        return InfrastructureError(failed[0])
    return RefusedError(f"the task does not validate: {'; '.join(problems)[:300]}")


def _free_name(suite: Path, drafted: TaskDraft, suffix: str) -> tuple[TaskDraft, bool]:
    """The draft under a name that is free, or that is its own from a run that was killed before it could say so."""
    for name in (drafted.name, f"{drafted.name}-{re.sub(r'[^a-z0-9]+', '-', suffix.lower())}"):
        place = suite / "tasks" / name
        if not place.exists():
            return replace(drafted, name=name), False
        if read_task(place).source == drafted.source:
            return replace(drafted, name=name), True
    raise RefusedError(f"there is a task of the name {drafted.name} already")


def mine(
    steps: Iterable[Step],
    miner: Miner,
    *,
    workers: int = 2,
    limit: int | None = None,
    per_group: int | None = None,
    on_result: Callable[[MiningResult], None] | None = None,
) -> list[MiningResult]:
    """Try steps until they end, or enough tasks are kept.

    Args:
        steps: In the order in which they are tried; those in the suite's journal are passed over.
        miner: What they are tried with.
        workers: Steps at a time.
        limit: Kept tasks in the suite's journal at which to stop.
        per_group: Kept tasks of one group at which its other steps are passed over.
        on_result: Called in the caller's thread as each step ends.

    Returns:
        What was tried now. A step that failed is among them, and not in the journal.

    Raises:
        EngineUnavailableError: no container engine answers.
        StorageError: a file could not be written.
        TaskError: the suite is wrong.
    """
    if not (miner.suite / SUITE_FILE).exists():
        write_suite(miner.suite, name=miner.suite.resolve().name, description="Mined tasks.")
    journal = Journal(miner.suite)
    stop = threading.Event()
    results: list[MiningResult] = []
    running: dict[Future[MiningResult], Step] = {}
    waiting = iter(steps)

    def wanted() -> Iterator[Step]:
        for step in waiting:
            if step.key in journal.rows:
                continue
            at_work = sum(other.group == step.group for other in running.values())
            if per_group is not None and journal.kept(step.group) + at_work >= per_group:
                if journal.kept(step.group) < per_group:
                    held.append(step)
                continue
            yield step

    held: list[Step] = []
    pool = ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="mine")
    try:
        while True:
            queue = wanted()
            while len(running) < max(1, workers) and (limit is None or journal.kept() + len(running) < limit):
                step = next(queue, None)
                if step is None:
                    break
                running[pool.submit(miner.attempt, step, stop)] = step
            if not running:
                return results
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                step = running.pop(future)
                result = future.result()
                results.append(result)
                if result.outcome != "failed":
                    journal.write(
                        step.key, step.group, result.outcome, reason=result.reason, task=result.task,
                        seconds=result.seconds,
                    )  # fmt: skip
                if on_result is not None:
                    on_result(result)
            # Steps of a group whose last one was at work: now it is known whether they are needed.
            waiting, held = iter([*held, *waiting]), []
    finally:
        # Interrupted: those at work stop before their next run, and take their containers with them.
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def task_draft(candidate: Candidate, verified: Verified, statement: str, split: Split) -> TaskDraft:
    """The task of a verified candidate."""
    return TaskDraft(
        name=task_name(candidate.repository, verified.fail_to_pass[0]),
        repository=candidate.repository,
        split=split,
        problem_statement=statement,
        source=candidate.source,
        requirements=verified.requirements,
        install=verified.install,
        created_at=candidate.created_at,
        gold_patch="" if candidate.source.kind == "pypi" else candidate.gold_patch,
        test_files=verified.test_files,
        fail_to_pass=verified.fail_to_pass,
        pass_to_pass=verified.pass_to_pass,
        excluded_tests=verified.excluded,
    )


def task_name(repository: str, node_id: str) -> str:
    """A folder name from what is tested, such as ``bleach-lessthan-escaping``."""
    test = node_id.rpartition("::")[2] if "[" not in node_id else node_id.partition("[")[0].rpartition("::")[2]
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", re.sub(r"^test_?", "", test)).lower()
    slug = re.sub(r"[^a-z0-9]+", "-", words)[:_LONGEST_NAME].strip("-") or "fix"
    return re.sub(r"[^a-z0-9]+", "-", f"{repository.lower()}-{slug}")
