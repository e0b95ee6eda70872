"""A file of expert trajectories to train on."""

from pathlib import Path

import pytest

from srl_swe.experts.trajectories import write_trajectories
from srl_swe.records import Step, Trajectory


def make_trajectory(number: int, split: str = "train") -> Trajectory:
    steps = [
        Step(thought="Look around.", action="ls", observation="exit code: 0\nREADME.md\nmoney.py"),
        Step(thought="Find it.", action=f'grep -rn "round_{number}" .', observation="exit code: 0\nmoney.py:3"),
        Step(thought="Done.", action="submit", observation="solved"),
    ]
    return Trajectory(
        trajectory_id=f"t{number}",
        task_id=f"suite/task-{number}",
        split=split,  # type: ignore[arg-type]
        problem_statement=f"# round_{number} is wrong\nIt rounds down.",
        steps=tuple(steps),
        source="oracle",
        resolved=True,
    )


@pytest.fixture
def trajectories_file(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    write_trajectories(path, [make_trajectory(i) for i in range(4)])
    return path
