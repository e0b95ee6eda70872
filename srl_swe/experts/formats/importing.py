"""Many files of other agents into one file of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from srl_swe.errors import TrajectoryError
from srl_swe.experts.formats.reading import Tally, read_file
from srl_swe.experts.trajectories import write_trajectories
from srl_swe.records import Split, Trajectory


def import_trajectories(
    files: Sequence[Path],
    out: Path,
    *,
    format: str | None = None,
    split: Split = "train",
    skip_bad: bool = False,
    outcomes: Mapping[str, bool] | None = None,
    on_progress: Callable[[Path, Tally], None] | None = None,
) -> dict[Path, Tally]:
    """Read every file and write one; what became of each file's rows. Nothing is written where anything is refused.

    Args:
        files: Files, or folders that stand for every file in them; never ``out`` itself.
        out: The file to write.
        format: See `read_file`.
        split: See `read_file`.
        skip_bad: Leave out rows, and whole files, that cannot be read, and note them.
        outcomes: By task, whether it was solved (see `read_outcomes`), for trajectories that do not say it.
        on_progress: Called after each trajectory.

    Raises:
        TrajectoryError: a file or row cannot be read, or there is nothing to write.
        MissingDependencyError: the package for a kind of file is not installed.
        StorageError: ``out`` cannot be written.
    """
    tallies = {path: Tally() for path in _all_files(files) if path.resolve() != out.resolve()}
    if not tallies:
        raise TrajectoryError(f"no files in {', '.join(map(str, files))}")

    def every() -> Iterator[Trajectory]:
        names = Counter[str]()
        for path, tally in tallies.items():
            try:
                for trajectory in read_file(
                    path, format=format, split=split, skip_bad=skip_bad, tally=tally, names=names
                ):
                    yield _with_outcome(trajectory, outcomes or {})
                    if on_progress:
                        on_progress(path, tally)
            except TrajectoryError as error:
                if not skip_bad:
                    raise
                tally.rows += 1  # an unreadable file counts as one row
                tally.skip(error)

    write_trajectories(out, every())
    return tallies


def _with_outcome(trajectory: Trajectory, outcomes: Mapping[str, bool]) -> Trajectory:
    if trajectory.resolved is not None or trajectory.task_id not in outcomes:
        return trajectory
    return replace(trajectory, resolved=outcomes[trajectory.task_id])


def _all_files(files: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in files:
        found += sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return list(dict.fromkeys(found))
