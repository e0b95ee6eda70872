"""Training straight from the files that ``srl-swe experts instances`` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from srl_swe.errors import ConfigError
from srl_swe.experts.dataset import iter_instances
from srl_swe.experts.split_labels import SplitLabels
from srl_swe.records import StepInstance

CUT_ALREADY = ("history", "observation_chars")
"""Options of training that say how trajectories are cut: in these files they are."""


def read_instance_files(paths: Sequence[Path]) -> list[StepInstance]:
    """Read the step instances of several files.

    Raises:
        TrajectoryError: a file is wrong; file, line and field are named.
        ConfigError: a file is not there, an instance is held out or in two files, or a task is ``train`` in one file
            and ``heldout`` in another.
    """
    if missing := [str(path) for path in paths if not path.is_file()]:
        raise ConfigError(f"instances: no such file: {', '.join(missing)}")
    labels = SplitLabels()
    places: dict[str, str] = {}
    heldout = ""
    instances: list[StepInstance] = []
    for path in paths:
        for number, instance in enumerate(iter_instances(path), start=1):
            where = f"{path}:{number}"
            labels.note(instance.task_id, instance.split, where)
            if (earlier := places.setdefault(instance.instance_id, where)) != where:
                raise ConfigError(f"{where}: instance_id: {instance.instance_id!r} is also at {earlier}")
            if instance.split != "train":
                heldout = heldout or f"{where}: step instance {instance.instance_id!r} is held out; training refuses it"
            instances.append(instance)
    # Said last: that a task is in both splits is the graver mistake.
    if heldout:
        raise ConfigError(heldout)
    return instances
