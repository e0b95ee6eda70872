"""``srl-swe experts record, import, export, show`` and ``srl-swe replay``; see also `srl_swe.commands.teaching`."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.progress import Progress
from tyro.conf import Positional

from srl_swe.commands.output import BAR, console, print_table, verdict
from srl_swe.commands.suites import Suites, TaskIds, prepare_all, prepare_each, read_tasks, sweep_first
from srl_swe.errors import ConfigError
from srl_swe.records import Split, Trajectory

if TYPE_CHECKING:
    from srl_swe.experts.formats.reading import Tally
    from srl_swe.experts.replay import ReplayReport
    from srl_swe.experts.verification import Verification

_REASONS = 5
"""Bad rows told of, for each file."""


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
        seeds: Trajectories a task, each by another way of working.
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


def replay(
    file: Positional[Path],
    suites: Suites = (),
    *,
    task: TaskIds = (),
    show: bool = False,
    verify_to: Path | None = None,
    rejected: Path | None = None,
    early: float = 0.5,
    workers: Annotated[int, tyro.conf.arg(aliases=["-j"])] = 2,
    backend: str = "docker",
) -> int:
    """Run recorded trajectories again, step by step. Exits with 1 if one that was solved is not any more.

    With --verify-to, those that end solved and drift late or not at all are written, marked as resolved; the same
    command goes on where it was interrupted.

    Args:
        file: The trajectories.
        suites: Suite folders that hold their tasks; every one in envs/ by default.
        task: Only this task; may be given several times.
        show: Print what was recorded and what came back where the two differ.
        verify_to: Write the trajectories that are to be kept here.
        rejected: Write why the others are not kept here; with --verify-to OUT.jsonl, OUT.rejected.jsonl by default.
        early: The first drift is early, and a reason to reject, before this share of the steps.
        workers: Replays at a time.
        backend: Where sandboxes run: docker, docker:RUNTIME, podman, bubblewrap, or one that a package adds.
    """
    from srl_swe.experts import verification
    from srl_swe.experts.trajectories import read_trajectories

    if rejected is not None and verify_to is None:
        raise ConfigError("--rejected goes with --verify-to")
    if not 0 <= early <= 1:
        raise ConfigError(f"--early must be from 0 to 1, got {early}")
    if verify_to is not None and file.resolve() in {verify_to.resolve(), (rejected or verify_to).resolve()}:
        raise ConfigError(f"{file}: would be overwritten; name another file")
    trajectories = read_trajectories(file)
    ids = task or tuple(dict.fromkeys(t.task_id for t in trajectories))
    tasks = {t.task_id: t for t in read_tasks(suites, ids=ids)}
    chosen = [t for t in trajectories if t.task_id in tasks]
    if not chosen:
        raise ConfigError(f"{file}: holds no trajectory of {', '.join(tasks)}")
    sweep_first(backend)
    prepared = {p.task.task_id: p for p in prepare_all(list(tasks.values()), backend)}
    reports: list[ReplayReport] = []
    journal = verify_to.with_name(verify_to.name + ".partial") if verify_to is not None else None
    with Progress(*BAR, console=console(stderr=True)) as progress:
        bar = progress.add_task("replays", total=len(chosen))

        def on_report(_: Verification, report: ReplayReport | None) -> None:
            progress.advance(bar)
            if report is not None and show:
                reports.append(report)

        found = verification.verify(
            chosen, prepared, jobs=workers, backend=backend, journal=journal, on_report=on_report
        )
    for report in reports:
        _show_drift(report)
    if verify_to is not None and journal is not None:
        refused = rejected or verify_to.with_suffix(".rejected.jsonl")
        kept, dropped = verification.write_verified(chosen, found, verify_to, refused, early=early)
        if all(one.infrastructure is None for one in found):
            journal.unlink(missing_ok=True)
        console().print(f"{kept} kept: {verify_to}; {dropped} rejected: {refused}", markup=False)
    return _print_replays(chosen, found, early=early)


def _print_replays(chosen: Sequence[Trajectory], found: Sequence[Verification], *, early: float) -> int:
    rows, lost = [], 0
    for trajectory, one in zip(chosen, found, strict=True):
        lost += bool(trajectory.resolved and not one.resolved) or one.infrastructure is not None
        drifted = ", ".join(str(k + 1) for k in one.drifted) or "none"
        notes = [f"{one.skipped} steps after the end"] if one.skipped else []
        notes += ["the task has changed since"] if one.stale else []
        notes += [reason for reason in one.reasons(early=early) if not reason.startswith("not ")]
        solved = verdict(one.resolved, yes="solved", no="not solved", unknown="not submitted")
        if one.infrastructure is not None:
            solved, notes = verdict(None, unknown="not judged"), [one.infrastructure]
        rows.append((trajectory.trajectory_id, len(one.ratios), drifted, solved, "; ".join(notes)))
    print_table(["trajectory", "steps", "steps that drifted", "end", "notes"], rows)
    if failed := sum(one.infrastructure is not None for one in found):
        console(stderr=True).print(f"{failed} could not be judged; the same command tries them again", style="yellow")
    return 1 if lost else 0


def _show_drift(report: ReplayReport) -> None:
    for step in report.steps:
        if step.drift:
            rows = [(step.recorded, step.observed)]
            print_table(["recorded", "now"], rows, title=f"{report.trajectory_id}, step {step.step + 1}: {step.action}")


def import_files(
    files: Positional[tuple[Path, ...]],
    *,
    to: Path,
    format: str | None = None,
    split: Split = "train",
    skip_bad: bool = False,
    reports: tuple[Path, ...] = (),
) -> int:
    """Read trajectories of other agents into one file of ours, and say what became of every row.

    Args:
        files: JSON, JSON Lines (also .gz, .zst), Parquet or YAML files; a folder means every file in it.
        to: The file to write.
        format: The files' format: srl-swe, atif, openhands, mini-swe-agent, nebius, swe-agent, nemo-gym or chat; by
            default each row's is told by its content.
        split: The split that the trajectories are given.
        skip_bad: Leave out rows that cannot be read, and say why, instead of stopping at the first.
        reports: Reports of an evaluation (SWE-bench's, SWE-smith's, mini-swe-agent's): whether a task was solved, for
            trajectories that do not say it themselves.
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from srl_swe.experts.formats.importing import import_trajectories
    from srl_swe.experts.formats.outcomes import read_outcomes

    if not files:
        raise ConfigError("name the files to import, or a folder that holds them")
    outcomes = read_outcomes(reports)
    printer = console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=printer, transient=True, disable=not printer.is_terminal) as progress:
        bar = progress.add_task("reading")

        def report(path: Path, tally: Tally) -> None:
            progress.update(bar, description=f"{path}: {tally.rows} rows, {tally.steps} steps")

        tallies = import_trajectories(
            files, to, format=format, split=split, skip_bad=skip_bad, outcomes=outcomes, on_progress=report
        )
    rows = []
    for path, tally in tallies.items():
        formats = ", ".join(tally.formats) or "-"
        counts = (tally.rows, tally.trajectories, tally.steps, tally.runnable, tally.skipped)
        rows.append((path, formats, *counts))
    print_table(["file", "format", "rows", "trajectories", "steps", "runnable", "skipped"], rows)
    _print_reasons(tallies.values())
    console().print(
        f"written: {to}: {sum(tally.trajectories for tally in tallies.values())} trajectories", markup=False
    )
    return 0


def _print_reasons(tallies: Iterable[Tally]) -> None:
    listed = list(tallies)
    not_runnable = sum((tally.not_runnable for tally in listed), Counter())
    if not_runnable:
        print_table(["actions that cannot run, kept as text", "steps"], not_runnable.most_common())
    for tally in listed:
        for reason in tally.reasons[:_REASONS]:
            console().print(f"skipped: {reason}", markup=False)
        if tally.skipped > _REASONS:
            console().print(f"skipped: {tally.skipped - _REASONS} more of the same file")


def export(file: Positional[Path], *, to: Path, format: str = "srl-swe") -> int:
    """Write a file of trajectories, of any format that can be imported, for others to train on.

    Args:
        file: The trajectories.
        to: The file to write, JSON Lines.
        format: srl-swe, atif, trl (messages), axolotl (conversations) or llama-factory (sharegpt).
    """
    from srl_swe.experts.formats.reading import read_file
    from srl_swe.experts.formats.writing import write_file

    written = write_file(to, read_file(file), format=format)
    console().print(f"written: {to}: {written} trajectories as {format}", markup=False)
    return 0


def show(
    file: Positional[Path],
    trajectory: Positional[str] = "",
    *,
    lines: int = 12,
) -> int:
    """Show trajectories step by step: thought, action, observation, and the reward where there is one.

    Args:
        file: The trajectories, in any format that can be imported.
        trajectory: Only this one: its id, or its place in the file from 1.
        lines: Most lines of a thought or an observation; what is left out is the middle.
    """
    from srl_swe.commands.trajectories import show_trajectory
    from srl_swe.experts.formats.reading import read_file

    shown = 0
    for number, one in enumerate(read_file(file), start=1):
        if trajectory in ("", one.trajectory_id, str(number)):
            shown += 1
            show_trajectory(one, lines=lines)
            if trajectory:
                break
    if not shown:
        raise ConfigError(f"{file}: holds no trajectory {trajectory!r}")
    return 0
