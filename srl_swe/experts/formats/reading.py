"""Read files of any format that is known: every row becomes a trajectory or is reported, and the counts add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from srl_swe.data_files import Row, read_rows
from srl_swe.errors import ConfigError, TrajectoryError
from srl_swe.experts.dialects.mapping import to_trajectory
from srl_swe.experts.formats import atif, chat, mini, nebius, openhands, ours, responses, sweagent
from srl_swe.experts.formats.fields import Field, show
from srl_swe.experts.formats.recordings import Recording
from srl_swe.records import Split, Trajectory


@dataclass(frozen=True, slots=True)
class Format:
    """A format: how a row of it is told, and how it is read."""

    recognises: Callable[[Any], bool]
    read: Callable[[Field, PurePath], Recording]


_READERS = (atif, openhands, mini, nebius, sweagent, responses, chat)
FORMATS: dict[str, Format] = {module.NAME: Format(module.recognises, module.read) for module in _READERS}
"""By name; the first that recognises a row reads it. Ours (`ours.NAME`) comes before them all."""
NAMES = (ours.NAME, *FORMATS)
"""Every format's name."""
REASONS = 100
"""Most reasons kept for a file: a file may hold millions of bad rows."""


@dataclass(kw_only=True, slots=True)
class Tally:
    """What became of the rows of one file: ``rows == trajectories + skipped``."""

    rows: int = 0
    """Rows met."""
    trajectories: int = 0
    """Rows read."""
    steps: int = 0
    """Their steps."""
    runnable: int = 0
    """Steps whose action can run in our container."""
    formats: Counter[str] = field(default_factory=Counter)
    """Rows of each format."""
    skipped: int = 0
    """Rows left out."""
    reasons: list[str] = field(default_factory=list)
    """Why a row was left out, of the first `REASONS` of them: file, row and field are named."""
    not_runnable: Counter[str] = field(default_factory=Counter)
    """Why an action cannot run."""

    def add(self, trajectory: Trajectory) -> None:
        """Count a row that was read."""
        self.trajectories += 1
        self.steps += len(trajectory.steps)
        self.runnable += sum(step.runnable for step in trajectory.steps)
        self.formats[trajectory.source if trajectory.source in FORMATS else ours.NAME] += 1
        self.not_runnable.update(trajectory.provenance.get("not_runnable") or {})

    def skip(self, error: TrajectoryError) -> None:
        """Count a row that was left out."""
        self.skipped += 1
        if len(self.reasons) < REASONS:
            self.reasons.append(str(error))


def read_file(
    path: Path | str,
    *,
    format: str | None = None,
    split: Split = "train",
    skip_bad: bool = False,
    tally: Tally | None = None,
    names: Counter[str] | None = None,
) -> Iterator[Trajectory]:
    """The trajectories of a file, one at a time.

    Args:
        path: JSON, JSON Lines (plain, gzip, zstandard), Parquet or YAML.
        format: One of `NAMES`; by default each row's is told by its content.
        split: The split that they are given: no format but ours tells it.
        skip_bad: Leave out rows that cannot be read, and note them in ``tally``.
        tally: Where to count.
        names: How often each trajectory id was given before, so that ids stay unique over several files.

    Raises:
        ConfigError: there is no such format.
        TrajectoryError: the file or, without ``skip_bad``, a row cannot be read; file, row and field are named.
        MissingDependencyError: the package for this kind of file is not installed.
    """
    path = Path(path)
    tally, names = tally if tally is not None else Tally(), names if names is not None else Counter()
    if format is not None and format not in NAMES:
        raise ConfigError(f"no format {format!r}; known: {', '.join(NAMES)}")
    for row in read_rows(path, TrajectoryError, one_row=_is_one_row):
        tally.rows += 1
        try:
            trajectory = read_row(row, path, format=format, split=split, names=names)
        except TrajectoryError as error:
            if not skip_bad:
                raise
            tally.skip(error)
            continue
        tally.add(trajectory)
        yield trajectory


def read_row(
    row: Row, path: Path, *, format: str | None = None, split: Split = "train", names: Counter[str] | None = None
) -> Trajectory:
    """The trajectory of one row.

    Raises:
        TrajectoryError: it cannot be read; file, row and field are named.
    """
    if isinstance(row.value, TrajectoryError):
        raise row.value
    name = format or recognise(row.value)
    if name is None:
        raise TrajectoryError(
            f"{row.where}: not a trajectory of a known format: {_outline(row.value)}. Known are {', '.join(NAMES)}; "
            'any agent\'s can be written as chat: {"instance_id": …, "messages": [{"role": …, "content": …}, …]}'
        )
    names = names if names is not None else Counter()
    try:
        field = Field(row.value, row.where)
        if name == ours.NAME:
            return _named(ours.read(field), names)
        recording = FORMATS[name].read(field, path)
        if not recording.problem.strip():
            raise TrajectoryError(f"{row.where}: problem statement: not found")
        number = names[f"{recording.task_id}@{name}"]
        trajectory = to_trajectory(recording, trajectory_id=f"{recording.task_id}@{name}-{number}", split=split)
        names[f"{recording.task_id}@{name}"] += 1
        return trajectory
    except TrajectoryError as error:
        if str(error).startswith(row.where):
            raise
        raise TrajectoryError(f"{row.where}: {error}") from error
    except RecursionError as error:
        raise TrajectoryError(f"{row.where}: nested too deeply") from error


def recognise(value: Any) -> str | None:
    """The name of a row's format; ``None`` where none is known."""
    if ours.recognises(value):
        return ours.NAME
    return next((name for name, known in FORMATS.items() if known.recognises(value)), None)


def _named(trajectory: Trajectory, names: Counter[str]) -> Trajectory:
    if names[trajectory.trajectory_id]:
        raise TrajectoryError(f"trajectory_id: {trajectory.trajectory_id!r} is used already")
    names[trajectory.trajectory_id] += 1
    return trajectory


def _is_one_row(value: Any) -> bool:
    return not value or recognise(value) is not None  # an empty list is no trajectory, and said to be none


def _outline(value: Any) -> str:
    if not isinstance(value, dict):
        return show(value)
    keys = [str(key) for key in value]
    return f"an object with {', '.join(keys[:8])}{' …' if len(keys) > 8 else ''}" if keys else "an empty object"
