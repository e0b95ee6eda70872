"""Somebody else's trajectory over a task of ours: which task it is of, where its repository lay, what we see at it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from srl_swe.errors import ConfigError
from srl_swe.records import Step, Task, Trajectory

WORKDIR = "/testbed"
"""Where the repository is in our containers."""


def find_task(trajectory: Trajectory, tasks: Mapping[str, Task], renamed: Mapping[str, str]) -> Task | None:
    """The task of a trajectory: the one that it was said to be of, or that has its id, or its name in one suite only.

    Args:
        trajectory: Whose ``task_id`` is the source's, such as ``django__django-11133``.
        tasks: Ours, by id, such as ``swebench/django__django-11133``.
        renamed: The source's id to ours, where they are not alike.
    """
    wanted = renamed.get(trajectory.task_id, trajectory.task_id)
    if wanted in tasks:
        return tasks[wanted]
    named = [task for task_id, task in tasks.items() if task_id.partition("/")[2] == wanted]
    return named[0] if len(named) == 1 else None


def adopt(trajectory: Trajectory, task: Task, aliases: Iterable[str] = ()) -> Trajectory:
    """The trajectory as one of a task of ours, with the repository's paths as they are in our containers.

    Args:
        trajectory: The source's; where it told its working directory, that is an alias too.
        task: Which decides the split.
        aliases: Where the repository lay, such as ``/workspace/django``.

    Raises:
        ConfigError: an alias is no absolute path, or is the root of all files.
    """
    places = _places(trajectory, aliases)
    if trajectory.task_id == task.task_id and not places:
        return trajectory
    # Whole names only: /repo is not in /repository, nor in /old/repo; the longest first.
    pattern = re.compile(rf"(?<![\w./~-])(?:{'|'.join(map(re.escape, places))})(?![\w-]|\.\w)") if places else None

    def said(text: str) -> str:
        return pattern.sub(WORKDIR, text) if pattern is not None else text

    steps = (
        replace(step, thought=said(step.thought), action=said(step.action), observation=said(step.observation))
        for step in trajectory.steps
    )
    source = {"task_id": trajectory.task_id, "workdir": places}
    return replace(
        trajectory,
        task_id=task.task_id,
        split=task.split,
        problem_statement=said(trajectory.problem_statement),
        steps=tuple(steps),
        provenance={k: v for k, v in trajectory.provenance.items() if k != "workdir"} | {"adopted_from": source},
    )


def rerecorded(trajectory: Trajectory, observations: Sequence[str]) -> Trajectory:
    """The steps that were run, each with what came back in our container; the others are left out."""
    ran = [step for step in trajectory.steps if step.runnable]
    steps: list[Step] = [replace(step, observation=seen) for step, seen in zip(ran, observations, strict=False)]
    return replace(trajectory, steps=tuple(steps))


def _places(trajectory: Trajectory, aliases: Iterable[str]) -> list[str]:
    told = trajectory.provenance.get("workdir")
    found = []
    for alias in (*aliases, *([told] if isinstance(told, str) else [])):
        place = posixpath.normpath(alias)
        if not place.startswith("/") or place.strip("/") == "":
            raise ConfigError(f"workdir alias: expected an absolute path below /, not {alias!r}")
        if place != WORKDIR:
            found.append(place)
    return sorted(set(found), key=lambda place: (-len(place), place))
