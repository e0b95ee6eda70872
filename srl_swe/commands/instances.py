"""``srl-swe experts instances``: cuts trajectories into step instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from srl_swe.commands.output import console
from srl_swe.errors import ConfigError
from srl_swe.records import StepInstance


def instances(
    files: Positional[tuple[Path, ...]],
    *,
    to: Path,
    history: int | Literal["all"] = 2,
    budget: int | None = None,
    hint: Literal["none", "title", "thought"] = "none",
    skip_first: bool = False,
    pilot: Path | None = None,
    epsilon: float = 0.05,
    top: int | None = None,
    per_task: int | None = None,
) -> int:
    """Cut trajectories into step instances, written as JSON Lines with a card that says what is in them.

    Args:
        files: The trajectories, all of one split.
        to: File to write; the card goes beside it.
        history: Action-observation pairs that the student sees, or all.
        budget: Most characters of all messages; the oldest pairs are left out.
        hint: What the student is told of the expert's next step.
        skip_first: Leave out each trajectory's first step, as the paper does.
        pilot: A step evaluation's results: keep only steps whose rewards vary.
        epsilon: With --pilot: keep a step if the standard deviation of its rewards exceeds this.
        top: With --pilot: keep this many at most, those that vary most.
        per_task: With --pilot: keep this many of each task at most.
    """
    from srl_swe.experts.dataset import write_instances
    from srl_swe.experts.difficulty import read_pilot, select_informative
    from srl_swe.experts.instances import iter_step_instances, without_duplicates

    if not files:
        raise ConfigError("expected at least one file of trajectories")
    if to.resolve() in [file.resolve() for file in files]:
        raise ConfigError(f"--to: {to} is one of the files that are read")
    if pilot is None and (top is not None or per_task is not None or epsilon != 0.05):
        raise ConfigError("--epsilon, --top and --per-task choose by a pilot's results: give --pilot")
    last = None if history == "all" else history
    read = 0

    def counted() -> Iterator[StepInstance]:
        nonlocal read
        for file in files:
            for instance in iter_step_instances(file, history=last, skip_first=skip_first, budget=budget, hint=hint):
                read += 1
                yield instance

    dropped: dict[str, int] = {}

    def unique() -> Iterator[StepInstance]:
        kept = 0
        for instance in without_duplicates(counted()):
            kept += 1
            yield instance
        if read > kept:
            dropped["duplicate"] = read - kept

    chosen: Iterable[StepInstance] = unique()
    if pilot is not None:
        chosen, reasons = select_informative(chosen, read_pilot(pilot), epsilon=epsilon, top=top, per_task=per_task)
        dropped.update(reasons)
    card = write_instances(to, chosen, dropped=dropped)
    left_out = ", ".join(f"{count} {reason}" for reason, count in card["dropped"].items()) or "none"
    console().print(f"written: {to}: {card['instances']} of {read} step instances; dropped: {left_out}", markup=False)
    return 0
