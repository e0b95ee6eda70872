"""Several files of trajectories into step instances, without duplicates, and where every step went."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from srl_swe.environments.prompts import OBSERVATION_CHARS
from srl_swe.experts.dataset import Account
from srl_swe.experts.instances import Hint, left_out, step_instances, without_duplicates
from srl_swe.experts.split_labels import SplitLabels
from srl_swe.experts.trajectories import iter_trajectories
from srl_swe.records import StepInstance


def cut_files(
    files: Sequence[Path],
    account: Account,
    *,
    history: int | None = 2,
    skip_first: bool = False,
    observation_chars: int = OBSERVATION_CHARS,
    budget: int | None = None,
    measure: Callable[[str], int] = len,
    hint: Hint = "none",
) -> Iterator[StepInstance]:
    """The instances of several files, one trajectory in memory at a time; see `step_instances` for the options.

    ``account`` is complete when the last instance was taken.

    Raises:
        TrajectoryError: a file cannot be read, holds no trajectory, or a line is wrong.
        ConfigError: an option is out of range, or a task is in both splits.
    """
    cut = kept = 0
    labels = SplitLabels()

    def every() -> Iterator[StepInstance]:
        nonlocal cut
        for file in files:
            for trajectory in iter_trajectories(file):
                labels.note(trajectory.task_id, trajectory.split, f"{file}: {trajectory.trajectory_id}")
                account.add(trajectory)
                account.dropped.update(left_out(trajectory, skip_first=skip_first))
                instances = step_instances(
                    trajectory,
                    history=history,
                    skip_first=skip_first,
                    observation_chars=observation_chars,
                    budget=budget,
                    measure=measure,
                    hint=hint,
                )
                cut += len(instances)
                yield from instances

    for instance in without_duplicates(every()):
        kept += 1
        yield instance
    if cut > kept:
        account.dropped["duplicate"] = cut - kept
