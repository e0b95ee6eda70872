"""Write trajectories for others: JSON Lines, one trajectory a line, atomically."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from srl_swe.errors import ConfigError, MalformedActionError, TrajectoryError
from srl_swe.experts.formats import atif, chat, ours
from srl_swe.experts.trajectories import write_trajectories
from srl_swe.files import replacing
from srl_swe.records import Trajectory

WRITERS: dict[str, Callable[[Trajectory], dict[str, Any]]] = {
    atif.NAME: atif.to_row,
    "trl": chat.trl_row,
    "axolotl": chat.axolotl_row,
    "llama-factory": chat.llama_factory_row,
}
"""By name; ours is written by `srl_swe.experts.trajectories`."""
NAMES = (ours.NAME, *WRITERS)
"""Every format that can be written."""


def write_file(path: Path | str, trajectories: Iterable[Trajectory], *, format: str = ours.NAME) -> int:
    """Write a file atomically, in one of `NAMES`; returns how many trajectories were written.

    Raises:
        ConfigError: there is no such format.
        TrajectoryError: there is nothing to write, or a value cannot be written.
        StorageError: the disk is full, the folder is read-only …
    """
    path = Path(path)
    if format == ours.NAME:
        return write_trajectories(path, trajectories)
    if format not in WRITERS:
        raise ConfigError(f"no format {format!r} to write; known: {', '.join(NAMES)}")
    written = 0
    with replacing(path) as out:
        for trajectory in trajectories:
            out.write(_line(trajectory, WRITERS[format]))
            written += 1
        if not written:
            raise TrajectoryError(f"{path}: there is no trajectory to write")
    return written


def _line(trajectory: Trajectory, to_row: Callable[[Trajectory], dict[str, Any]]) -> bytes:
    try:
        return (json.dumps(to_row(trajectory), ensure_ascii=False, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError, RecursionError, MalformedActionError) as error:
        raise TrajectoryError(f"trajectory {trajectory.trajectory_id!r} cannot be written: {error}") from error
