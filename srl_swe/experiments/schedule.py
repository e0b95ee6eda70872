"""What an experiment has still to do, from what its finished updates took."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_swe.experiments.plan import Experiment
from srl_swe.experiments.run import DONE, Run, runs
from srl_swe.files import read_lines
from srl_swe.training.config import TrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One training run."""

    name: str
    """Its folder, below the experiment's."""
    updates: int
    """Updates it has at most."""
    made: int
    """Updates that are made."""
    finished: bool
    """Whether it is done."""
    seconds: float | None
    """An update takes, as measured in this stage; ``None``: not known yet."""
    left: float | None
    """Seconds that it still takes, to the end of its updates or of its budget; ``None``: not known yet."""

    def cells(self) -> tuple[str, ...]:
        """For a table."""
        rest = "–" if self.left is None else f"{self.left / 60:.0f}"
        seconds = "–" if self.seconds is None else f"{self.seconds:.1f}"
        return self.name, str(self.updates), "yes" if self.finished else str(self.made), seconds, rest


def schedule(experiment: Experiment, out: Path) -> list[Line]:
    """Every training run in the order in which they are made."""
    made = {run.folder: read_lines(run.folder / "metrics.jsonl") for run in runs(experiment, out)}
    of_stage: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs(experiment, out):
        of_stage[run.stage.name] += made[run.folder]
    return [_line(experiment, run, out, made[run.folder], of_stage[run.stage.name]) for run in runs(experiment, out)]


def _line(
    experiment: Experiment, run: Run, out: Path, made: list[dict[str, Any]], of_stage: list[dict[str, Any]]
) -> Line:
    finished = (run.folder / DONE).is_file()
    updates = int(run.stage.fields.get("updates", TrainConfig.updates))
    seconds = _total(of_stage, "seconds") / len(of_stage) if of_stage else None
    bounds = []
    if seconds is not None:
        bounds.append((updates - len(made)) * seconds)
    if experiment.budget and run.stage.budget:
        unit, whole = experiment.budget.unit, experiment.budget.amount * run.stage.budget
        rest = max(0.0, whole - _total(made, unit))
        if unit == "seconds":
            bounds.append(rest)
        elif of_stage:
            bounds.append(rest * _total(of_stage, "seconds") / _total(of_stage, unit))
    return Line(
        name=str(run.folder.relative_to(out)),
        updates=updates,
        made=len(made),
        finished=finished,
        seconds=seconds,
        left=0.0 if finished else min(bounds, default=None),
    )


def _total(lines: list[dict[str, Any]], name: str) -> float:
    return sum(float(line[name]) for line in lines)
