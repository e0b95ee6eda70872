"""Validation without a model: the gold patch solves the task, doing nothing does not, and both every time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING

from srl_swe.errors import EngineUnavailableError, InfrastructureError, StorageError, TaskError
from srl_swe.grading.grade import grade
from srl_swe.records import PreparedTask, Task, TestOutcome, Verdict
from srl_swe.tasks.image_leaks import leaks
from srl_swe.tasks.prepare import prepare

if TYPE_CHECKING:
    import docker

_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationResult:
    """Whether a task can be trusted."""

    task_id: str
    """The task."""
    ok: bool
    """No problem was found."""
    problems: tuple[str, ...]
    """What is wrong, each on one line that makes sense without the others."""
    seconds: float
    """Wall-clock seconds, the image's build included."""
    infrastructure: bool = False
    """Whether containers or images failed, so that nothing is said about the task."""


def validate(
    task: Task, *, repeats: int = 2, backend: str = "docker", client: docker.DockerClient | None = None
) -> ValidationResult:
    """Grade the gold patch and the empty patch, ``repeats`` times each, and look for the fix in the image.

    Raises:
        EngineUnavailableError: no container engine answers.
        StorageError: a file could not be written.
    """
    start = time.monotonic()
    problems: list[str] = []
    infrastructure = False
    try:
        prepared = prepare(task, client=client)
        golds = [grade(prepared, prepared.gold_patch, backend=backend) for _ in range(repeats)]
        problems += _judge_gold(golds)
        nothings = [grade(prepared, "", backend=backend) for _ in range(repeats)]
        problems += _judge_nothing(prepared, nothings)
        infrastructure = any(verdict.solved is None for verdict in (*golds, *nothings))
        if found := leaks(prepared, backend=backend):
            problems.append(f"the image holds the fix: {_some(found)}")
    except (EngineUnavailableError, StorageError):
        raise
    except (TaskError, InfrastructureError) as error:
        problems.append(str(error))
        infrastructure = isinstance(error, InfrastructureError)
    problems = list(dict.fromkeys(problems))
    seconds = time.monotonic() - start
    return ValidationResult(
        task_id=task.task_id,
        ok=not problems,
        problems=tuple(problems),
        seconds=seconds,
        infrastructure=infrastructure,
    )


def validate_suite(
    tasks: Sequence[Task],
    *,
    repeats: int = 2,
    workers: int = 2,
    backend: str = "docker",
    on_result: Callable[[ValidationResult], None] | None = None,
) -> list[ValidationResult]:
    """Validate several tasks at a time.

    Args:
        tasks: The tasks.
        repeats: Gradings of each patch.
        workers: Tasks at a time.
        backend: Where containers come from.
        on_result: Called in the caller's thread as each task is finished.

    Returns:
        One result a task, in the order of ``tasks``.
    """
    results: dict[str, ValidationResult] = {}
    with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="validate") as pool:
        waiting = [pool.submit(validate, task, repeats=repeats, backend=backend) for task in tasks]
        try:
            for done in as_completed(waiting):
                result = done.result()
                results[result.task_id] = result
                if on_result is not None:
                    on_result(result)
        except BaseException:
            # Those at work come to their end, and remove their containers; the others are not begun.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [results[task.task_id] for task in tasks]


def _judge_gold(verdicts: Sequence[Verdict]) -> list[str]:
    problems = []
    for verdict in verdicts:
        if verdict.solved is None:
            problems.append(f"grading the gold patch failed: {verdict.infrastructure}")
            continue
        if verdict.refused_paths:
            problems.append(f"the gold patch changes what grading leaves out: {_some(verdict.refused_paths)}")
        problems += [f"the gold patch is graded as tampering: {_some(verdict.tampering)}"] if verdict.tampering else []
        bad = [f"{name} ({outcome})" for name, outcome in verdict.outcomes.items() if outcome is not TestOutcome.PASSED]
        if bad:
            problems.append(f"with the gold patch these do not pass: {_some(bad)}")
        if not verdict.solved and not (bad or verdict.tampering):
            problems.append("the gold patch does not solve the task: the test run did not come to its end")
        if not verdict.tampering and set(verdict.outcomes.values()) <= {TestOutcome.MISSING, TestOutcome.ERROR}:
            problems.append("no test ran: " + " ".join(verdict.log.split())[:400])
    return [*problems, *_judge_stability("the gold patch", verdicts)]


def _judge_nothing(prepared: PreparedTask, verdicts: Sequence[Verdict]) -> list[str]:
    problems = []
    for verdict in verdicts:
        if verdict.solved is None:
            problems.append(f"grading the empty patch failed: {verdict.infrastructure}")
            continue
        passing = [name for name in prepared.task.fail_to_pass if verdict.outcomes[name] is TestOutcome.PASSED]
        if passing:
            problems.append(f"FAIL_TO_PASS tests pass without any fix: {_some(passing)}")
        failing = [
            f"{name} ({verdict.outcomes[name]})"
            for name in prepared.task.pass_to_pass
            if verdict.outcomes[name] is not TestOutcome.PASSED
        ]
        if failing:
            problems.append(f"PASS_TO_PASS tests do not pass before the fix: {_some(failing)}")
        if verdict.tampering:
            problems.append(f"the empty patch is graded as tampering: {_some(verdict.tampering)}")
    return [*problems, *_judge_stability("the empty patch", verdicts)]


def _judge_stability(what: str, verdicts: Sequence[Verdict]) -> list[str]:
    """Tests whose outcome is not the same every time."""
    graded = [verdict for verdict in verdicts if verdict.solved is not None]
    names = graded[0].outcomes if graded else ()
    unstable = [name for name in names if len({verdict.outcomes[name] for verdict in graded}) > 1]
    return [f"with {what} these end differently from run to run: {_some(unstable)}"] if unstable else []


def _some(items: Iterable[str]) -> str:
    listed = list(items)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more
