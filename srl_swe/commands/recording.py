"""``srl-swe experts record``: the oracle expert, over whole suites."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.progress import Progress

from srl_swe.commands.output import BAR, console, verdict
from srl_swe.commands.suites import Suites, TaskIds, read_tasks, sweep_first
from srl_swe.errors import ConfigError
from srl_swe.records import Split, Task

if TYPE_CHECKING:
    from srl_swe.experts.recording import Recorded


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordOptions:
    """How the oracle is recorded."""

    out: Path | None = None
    """Folder to write <suite>.<split>.jsonl to; by default one in the cache."""
    split: Split | None = None
    """Only this split."""
    task: TaskIds = ()
    """Only this task; may be given several times."""
    seeds: int = 1
    """Trajectories a task, each by another way of working."""
    verify: bool = False
    """Replay each in a fresh sandbox, also those that were there, and keep only what ends solved and does not drift
    early; what is not kept is told in <suite>.<split>.rejected.jsonl."""
    workers: Annotated[int, tyro.conf.arg(aliases=["-j"])] = 1
    """Recordings at a time."""
    backend: str = "docker"
    """Where sandboxes run: docker, docker:RUNTIME, podman, bubblewrap, or one that a package adds."""


def record(suites: Suites = (), *, options: Annotated[RecordOptions, tyro.conf.arg(name="")]) -> int:
    """Record the oracle expert in real containers. Exits with 1 if a task could not be recorded, or ends unsolved.

    Interrupted, the same command goes on where it was; what is there already is not recorded again.

    Args:
        suites: Suite folders; every one in envs/ by default.
        options: How.
    """
    from srl_swe.sandbox.cache import cache_dir

    if options.seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {options.seeds}")
    if options.workers < 1:
        raise ConfigError(f"--workers must be at least 1, got {options.workers}")
    folder = options.out or cache_dir() / "trajectories"
    tasks = read_tasks(suites, split=options.split, ids=options.task)
    sweep_first(options.backend)
    results: list[Recorded] = []
    with Progress(*BAR, console=console(stderr=True)) as progress:
        bar = progress.add_task("recordings", total=len(tasks) * options.seeds)

        def report(result: Recorded) -> None:
            progress.advance(bar)
            _print_result(result, progress.console.print if progress.console.is_terminal else console().print)

        # A file a split: training takes a whole file and refuses held-out trajectories.
        ordered = sorted(tasks, key=lambda task: (task.suite, task.split))
        for (suite, part), group in itertools.groupby(ordered, key=lambda task: (task.suite, task.split)):
            results += _record_file(list(group), folder / f"{suite}.{part}.jsonl", options, report)
    good = [r.trajectory for r in results if r.trajectory is not None and r.trajectory.resolved]
    steps = sum(len(trajectory.steps) for trajectory in good)
    console().print(f"{len(good)} of {len(results)} trajectories end solved; {steps} steps")
    return 0 if len(good) == len(results) else 1


def _record_file(
    tasks: Sequence[Task], file: Path, options: RecordOptions, report: Callable[[Recorded], None]
) -> list[Recorded]:
    from srl_swe.experts.recording import record_suite

    results = record_suite(
        tasks,
        file,
        seeds=range(options.seeds),
        backend=options.backend,
        jobs=options.workers,
        verify=options.verify,
        on_progress=report,
    )
    console().print(f"written: {file}" if file.exists() else f"nothing to write to {file}", markup=False)
    if options.verify:
        _write_rejected(results, file.with_suffix(".rejected.jsonl"))
    return results


def _write_rejected(results: Sequence[Recorded], file: Path) -> None:
    import json

    from srl_swe.files import write_atomically

    lines = [
        json.dumps({"task_id": result.task_id, "seed": result.seed, "reason": result.error}) + "\n"
        for result in results
        if result.trajectory is None
    ]
    if lines or file.exists():
        write_atomically(file, "".join(lines))
        console().print(f"{len(lines)} rejected: {file}", markup=False)


def _print_result(result: Recorded, show: Callable[..., None]) -> None:
    if result.trajectory is None:
        show(verdict(False), result.task_id, result.error or "", markup=False)
        return
    solved = verdict(result.trajectory.resolved, yes="solved", no="not solved")
    there = "was there already" if result.reused else ""
    show(solved, result.task_id, f"{len(result.trajectory.steps)} steps", there, markup=False)
