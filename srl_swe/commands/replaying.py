"""``srl-swe replay``: recorded trajectories, run again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.progress import Progress
from tyro.conf import Positional

from srl_swe.commands.output import BAR, console, print_table, verdict
from srl_swe.commands.suites import Suites, TaskIds, prepare_all, read_tasks, sweep_first
from srl_swe.errors import ConfigError
from srl_swe.records import PreparedTask, Trajectory

if TYPE_CHECKING:
    from srl_swe.environments.lasting_states import LastingStates
    from srl_swe.experts.replay import ReplayReport
    from srl_swe.experts.verification import Verification

_SHOWN = 5
"""Names listed in a message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayOptions:
    """How trajectories are replayed."""

    task: TaskIds = ()
    """Only this task; may be given several times."""
    show: bool = False
    """Print what was recorded and what came back where the two differ."""
    verify_to: Path | None = None
    """Write the trajectories that are to be kept here, marked as resolved."""
    rejected: Path | None = None
    """Write why the others are not kept here; with --verify-to OUT.jsonl, OUT.rejected.jsonl by default."""
    early: float = 0.5
    """The first drift is early, and a reason to reject, before this share of the steps."""
    task_id: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """THEIRS=OURS: which task imported trajectories are of, where its name alone does not tell; may be given several
    times."""
    workdir_alias: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Where the repository lay in imported trajectories: their paths are read as ours, below /testbed; may be given
    several times. SWE-agent's and OpenHands' files say it themselves."""
    rerecord: bool = False
    """With --verify-to: write what came back in place of what was recorded, and only the steps that ran. For imported
    trajectories, whose tools answered in other words; drift is then no reason to reject."""
    snapshots: bool = False
    """Keep the state after each step as a snapshot, so that any of them is opened at once, by later processes too."""
    snapshots_mb: float = 4096.0
    """What all such snapshots may take on the disk, in MiB; those used longest ago make room."""
    workers: Annotated[int, tyro.conf.arg(aliases=["-j"])] = 2
    """Replays at a time."""
    backend: str = "docker"
    """Where sandboxes run: docker, docker:RUNTIME, podman, bubblewrap, or one that a package adds."""

    def check(self, file: Path) -> None:
        """Refuse what contradicts itself.

        Raises:
            ConfigError: naming the option.
        """
        if self.rejected is not None and self.verify_to is None:
            raise ConfigError("--rejected goes with --verify-to")
        if self.rerecord and self.verify_to is None:
            raise ConfigError("--rerecord goes with --verify-to")
        if wrong := [pair for pair in self.task_id if not all(pair.partition("=")[::2])]:
            raise ConfigError(f"--task-id: expected THEIRS=OURS, got {wrong[0]!r}")
        if not 0 <= self.early <= 1:
            raise ConfigError(f"--early must be from 0 to 1, got {self.early}")
        if self.verify_to is not None and file.resolve() in {
            self.verify_to.resolve(),
            (self.rejected or self.verify_to).resolve(),
        }:
            raise ConfigError(f"{file}: would be overwritten; name another file")


def replay(
    file: Positional[Path], suites: Suites = (), *, options: Annotated[ReplayOptions, tyro.conf.arg(name="")]
) -> int:
    """Run recorded trajectories again, step by step. Exits with 1 if one that was solved is not any more.

    With --verify-to, those that end solved and drift late or not at all are written; the same command goes on where
    it was interrupted.

    Args:
        file: The trajectories.
        suites: Suite folders that hold their tasks; every one in envs/ by default.
        options: How.
    """
    from srl_swe.environments.lasting_states import LastingStates

    options.check(file)
    lasting = LastingStates(options.backend, capacity_mb=options.snapshots_mb) if options.snapshots else None
    chosen, prepared = _prepare(file, suites, options)
    found, reports = _run(chosen, prepared, options, lasting)
    for report in reports:
        _show_drift(report)
    if options.verify_to is not None:
        _write(chosen, found, options.verify_to, options)
    if lasting is not None:
        used = f"{lasting.size_mb:.0f} of {options.snapshots_mb:g} MiB"
        console().print(f"{lasting.count} snapshots are kept, {used}; srl-swe sandbox sweep --snapshots removes them")
    return _print_replays(chosen, found, early=0.0 if options.rerecord else options.early)


def _prepare(
    file: Path, suites: Sequence[Path], options: ReplayOptions
) -> tuple[list[Trajectory], dict[str, PreparedTask]]:
    """The trajectories asked for, and their tasks."""
    from srl_swe.experts.adoption import adopt, find_task
    from srl_swe.experts.trajectories import read_trajectories

    trajectories = read_trajectories(file)
    tasks = {t.task_id: t for t in read_tasks(suites, ids=options.task)}
    renamed = dict(pair.partition("=")[::2] for pair in options.task_id)
    if unknown := [ours for ours in renamed.values() if ours not in tasks]:
        raise ConfigError(f"--task-id: there is no task {unknown[0]!r}")
    found = [(trajectory, find_task(trajectory, tasks, renamed)) for trajectory in trajectories]
    chosen = [adopt(trajectory, task, options.workdir_alias) for trajectory, task in found if task is not None]
    strangers = dict.fromkeys(trajectory.task_id for trajectory, task in found if task is None)
    if not chosen:
        named = ", ".join(options.task) or f"a task of these suites, but of {_some(strangers)}"
        raise ConfigError(f"{file}: holds no trajectory of {named}; --task-id THEIRS=OURS says which task is meant")
    if strangers and not options.task:
        left = f"left out: trajectories of tasks that these suites do not have: {_some(strangers)}"
        console(stderr=True).print(left, style="yellow", markup=False)
    sweep_first(options.backend)
    wanted = [tasks[task_id] for task_id in dict.fromkeys(trajectory.task_id for trajectory in chosen)]
    return chosen, {p.task.task_id: p for p in prepare_all(wanted, options.backend)}


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")


def _run(
    chosen: Sequence[Trajectory],
    prepared: dict[str, PreparedTask],
    options: ReplayOptions,
    lasting: LastingStates | None,
) -> tuple[list[Verification], list[ReplayReport]]:
    from srl_swe.experts.verification import verify

    reports: list[ReplayReport] = []
    with Progress(*BAR, console=console(stderr=True)) as progress:
        bar = progress.add_task("replays", total=len(chosen))

        def on_report(_: Verification, report: ReplayReport | None) -> None:
            progress.advance(bar)
            if report is not None and options.show:
                reports.append(report)

        found = verify(
            chosen,
            prepared,
            jobs=options.workers,
            backend=options.backend,
            journal=_journal(options.verify_to) if options.verify_to is not None else None,
            on_report=on_report,
            lasting=lasting,
            observations=options.rerecord,
        )
    return found, reports


def _write(chosen: Sequence[Trajectory], found: Sequence[Verification], out: Path, options: ReplayOptions) -> None:
    from srl_swe.experts.verification import write_verified

    refused = options.rejected or out.with_suffix(".rejected.jsonl")
    kept, dropped = write_verified(chosen, found, out, refused, early=options.early, rerecord=options.rerecord)
    if all(one.infrastructure is None for one in found):
        _journal(out).unlink(missing_ok=True)
    console().print(f"{kept} kept: {out}; {dropped} rejected: {refused}", markup=False)


def _journal(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


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
