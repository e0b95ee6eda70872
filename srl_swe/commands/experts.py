"""``srl-swe experts record``, ``srl-swe experts instances`` and ``srl-swe replay``."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from srl_swe.commands.output import console, print_table, verdict
from srl_swe.commands.suites import Suites, TaskIds, prepare_all, prepare_each, read_tasks, sweep_first
from srl_swe.errors import ConfigError
from srl_swe.records import Split, StepInstance, Trajectory


def trajectory_files(suite: str) -> list[Path]:
    """A suite's trajectory files, one a split: committed beside the suites, or else recorded into the cache."""
    from srl_swe.sandbox.cache import cache_dir

    for folder in (Path("trajectories"), cache_dir() / "trajectories"):
        files = [folder / f"{suite}.{split}.jsonl" for split in ("train", "heldout")]
        if found := [file for file in files if file.is_file()]:
            return found
    return []


def load_trajectories(files: tuple[Path, ...], suites: list[str]) -> list[Trajectory]:
    """The trajectories of the files named, or of the suites' own files where they are there.

    Raises:
        ConfigError: no file is named and no suite has one.
        TrajectoryError: a file is wrong.
    """
    from srl_swe.experts.trajectories import read_trajectories

    chosen = list(files) or [path for suite in suites for path in trajectory_files(suite)]
    if not chosen:
        raise ConfigError(f"no trajectories of {', '.join(suites)}; record them: srl-swe experts record")
    return [trajectory for path in chosen for trajectory in read_trajectories(path)]


def record(
    suites: Suites = (),
    *,
    out: Path | None = None,
    split: Split | None = None,
    task: TaskIds = (),
    seeds: int = 1,
    backend: str = "docker",
) -> int:
    """Record the oracle expert in real containers. Exits with 1 if a task could not be recorded, or ends unsolved.

    Args:
        suites: Suite folders; every one in envs/ by default.
        out: Folder to write ``<suite>.<split>.jsonl`` to; by default one in the cache.
        split: Only this split.
        task: Only this task; may be given several times.
        seeds: Trajectories a task, each told in other words.
        backend: Where sandboxes run: docker, docker:RUNTIME, podman, bubblewrap, or one that a package adds.
    """
    from srl_swe.experts.recording import Recorded, record_suite
    from srl_swe.sandbox.cache import cache_dir

    folder = out or cache_dir() / "trajectories"
    if seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {seeds}")
    tasks = read_tasks(suites, split=split, ids=task)
    sweep_first(backend)
    printer = console()

    def report(result: Recorded) -> None:
        if result.trajectory is None:
            printer.print(verdict(False), result.task_id, result.error or "", markup=False)
        else:
            solved = verdict(result.trajectory.resolved, yes="solved", no="not solved")
            there = "was there already" if result.reused else ""
            printer.print(solved, result.task_id, f"{len(result.trajectory.steps)} steps", there)

    results = []
    ordered = sorted(tasks, key=lambda t: (t.suite, t.split))
    for (suite, part), group in itertools.groupby(ordered, key=lambda t: (t.suite, t.split)):
        # A file a split: training takes a whole file and refuses held-out trajectories.
        file = folder / f"{suite}.{part}.jsonl"
        results += record_suite(
            prepare_each(list(group), backend), file, seeds=range(seeds), backend=backend, on_progress=report
        )
        printer.print(f"written: {file}", markup=False)
    good = sum(bool(r.trajectory and r.trajectory.resolved) for r in results)
    printer.print(f"{good} of {len(results)} trajectories end solved")
    return 0 if good == len(results) else 1


def instances(
    files: Positional[tuple[Path, ...]],
    *,
    to: Path,
    history: int | Literal["all"] = 2,
    budget: int | None = None,
    hint: Literal["none", "title", "thought"] = "none",
    skip_first: bool = False,
    pilot: Path | None = None,
    epsilon: float = 0.05,
    top: int | None = None,
    per_task: int | None = None,
) -> int:
    """Cut trajectories into step instances, written as JSON Lines with a card that says what is in them.

    Args:
        files: The trajectories, all of one split.
        to: File to write; the card goes beside it.
        history: Action-observation pairs that the student sees, or all.
        budget: Most characters of all messages; the oldest pairs are left out.
        hint: What the student is told of the expert's next step.
        skip_first: Leave out each trajectory's first step, as the paper does.
        pilot: A step evaluation's results: keep only steps whose rewards vary.
        epsilon: With --pilot: keep a step if the standard deviation of its rewards exceeds this.
        top: With --pilot: keep this many at most, those that vary most.
        per_task: With --pilot: keep this many of each task at most.
    """
    from srl_swe.experts.dataset import write_instances
    from srl_swe.experts.difficulty import read_pilot, select_informative
    from srl_swe.experts.instances import iter_step_instances, without_duplicates

    if not files:
        raise ConfigError("expected at least one file of trajectories")
    if to.resolve() in [file.resolve() for file in files]:
        raise ConfigError(f"--to: {to} is one of the files that are read")
    if pilot is None and (top is not None or per_task is not None or epsilon != 0.05):
        raise ConfigError("--epsilon, --top and --per-task choose by a pilot's results: give --pilot")
    last = None if history == "all" else history
    read = 0

    def counted() -> Iterator[StepInstance]:
        nonlocal read
        for file in files:
            for instance in iter_step_instances(file, history=last, skip_first=skip_first, budget=budget, hint=hint):
                read += 1
                yield instance

    dropped: dict[str, int] = {}

    def unique() -> Iterator[StepInstance]:
        kept = 0
        for instance in without_duplicates(counted()):
            kept += 1
            yield instance
        if read > kept:
            dropped["duplicate"] = read - kept

    chosen: Iterable[StepInstance] = unique()
    if pilot is not None:
        chosen, reasons = select_informative(chosen, read_pilot(pilot), epsilon=epsilon, top=top, per_task=per_task)
        dropped.update(reasons)
    card = write_instances(to, chosen, dropped=dropped)
    left_out = ", ".join(f"{count} {reason}" for reason, count in card["dropped"].items()) or "none"
    console().print(f"written: {to}: {card['instances']} of {read} step instances; dropped: {left_out}", markup=False)
    return 0


def replay(
    file: Positional[Path],
    suites: Suites = (),
    *,
    task: TaskIds = (),
    show: bool = False,
    backend: str = "docker",
) -> int:
    """Run recorded trajectories again, step by step. Exits with 1 if one that was solved is not any more.

    Args:
        file: The trajectories.
        suites: Suite folders that hold their tasks; every one in envs/ by default.
        task: Only this task; may be given several times.
        show: Print what was recorded and what came back where the two differ.
        backend: Where sandboxes run: docker, docker:RUNTIME, podman, bubblewrap, or one that a package adds.
    """
    from srl_swe.experts.replay import ReplayReport
    from srl_swe.experts.replay import replay as run_again
    from srl_swe.experts.trajectories import read_trajectories

    trajectories = read_trajectories(file)
    ids = task or tuple(dict.fromkeys(t.task_id for t in trajectories))
    tasks = {t.task_id: t for t in read_tasks(suites, ids=ids)}
    chosen = [t for t in trajectories if t.task_id in tasks]
    if not chosen:
        raise ConfigError(f"{file}: holds no trajectory of {', '.join(tasks)}")
    sweep_first(backend)
    prepared = {p.task.task_id: p for p in prepare_all(list(tasks.values()), backend)}
    rows, lost = [], 0
    for trajectory in chosen:
        report: ReplayReport = run_again(trajectory, prepared[trajectory.task_id], backend=backend)
        lost += bool(trajectory.resolved and not report.resolved)
        drifted = ", ".join(str(k + 1) for k in report.drifted) or "none"
        notes = [f"{report.skipped} steps after the end"] if report.skipped else []
        notes += ["the task has changed since"] if report.stale else []
        solved = verdict(report.resolved, yes="solved", no="not solved", unknown="not submitted")
        rows.append((trajectory.trajectory_id, len(report.steps), drifted, solved, "; ".join(notes)))
        if show:
            _show_drift(report)
    print_table(["trajectory", "steps", "steps that drifted", "end", "notes"], rows)
    return 1 if lost else 0


def _show_drift(report: object) -> None:
    from srl_swe.experts.replay import ReplayReport

    assert isinstance(report, ReplayReport)
    for step in report.steps:
        if step.drift:
            rows = [(step.recorded, step.observed)]
            print_table(["recorded", "now"], rows, title=f"{report.trajectory_id}, step {step.step + 1}: {step.action}")
