"""``srl-swe experts import, export, show``, and where a suite's trajectories are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from srl_swe.commands.output import console, print_table
from srl_swe.commands.suites import TaskIds
from srl_swe.errors import ConfigError
from srl_swe.records import Split, Trajectory

if TYPE_CHECKING:
    from srl_swe.experts.formats.reading import Tally

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
    task: TaskIds = (),
    outcome: Literal["any", "solved", "unsolved", "unverified"] = "any",
    lines: int = 12,
) -> int:
    """Show trajectories step by step: thought, action, observation, and reward and drift where they are known.

    Args:
        file: The trajectories, in any format that can be imported.
        trajectory: Only this one: its id, or its place in the file from 1.
        task: Only those of this task; may be given several times.
        outcome: Only those that end like this; unverified: nobody has graded them.
        lines: Most lines of a thought or an observation; what is left out is the middle.
    """
    from srl_swe.commands.trajectories import show_trajectory
    from srl_swe.experts.formats.reading import read_file

    resolved = {"solved": True, "unsolved": False, "unverified": None}
    shown = 0
    for number, one in enumerate(read_file(file), start=1):
        if trajectory not in ("", one.trajectory_id, str(number)) or (task and one.task_id not in task):
            continue
        if outcome != "any" and one.resolved is not resolved[outcome]:
            continue
        shown += 1
        show_trajectory(one, lines=lines)
        if trajectory:
            break
    if not shown:
        wanted = [repr(trajectory)] if trajectory else []
        wanted += [f"of {' or '.join(task)}"] if task else []
        wanted += [f"that is {outcome}"] if outcome != "any" else []
        raise ConfigError(f"{file}: holds no trajectory {' '.join(wanted)}".rstrip())
    return 0
