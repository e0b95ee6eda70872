"""Our own trajectories, one a row: see ``trajectories/SCHEMA.md``."""

from __future__ import annotations

from typing import Any

from srl_swe.experts.formats.fields import Field
from srl_swe.experts.trajectories import build_trajectory
from srl_swe.records import Trajectory

NAME = "srl-swe"


def recognises(value: Any) -> bool:
    """Whether a row says so itself."""
    return isinstance(value, dict) and "schema" in value and "trajectory_id" in value


def read(row: Field) -> Trajectory:
    """Read one; it is a trajectory already, with its own id and split.

    Raises:
        TrajectoryError: it is not exactly one.
    """
    return build_trajectory(row.value, where=row.where)
