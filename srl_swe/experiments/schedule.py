"""What an experiment has still to do, from what its finished updates took."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from srl_swe.experiments.plan import Experiment
from srl_swe.experiments.run import DONE, runs
from srl_swe.files import read_lines


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

    def cells(self) -> tuple[str, ...]:
        """For a table."""
        left = 0 if self.finished else self.updates - self.made
        rest = "–" if self.seconds is None else f"{left * self.seconds / 60:.0f}"
        seconds = "–" if self.seconds is None else f"{self.seconds:.1f}"
        return self.name, str(self.updates), "yes" if self.finished else str(self.made), seconds, rest


def schedule(experiment: Experiment, out: Path) -> list[Line]:
    """Every training run in the order in which they are made."""
    from srl_swe.training.config import TrainConfig

    taken: dict[str, list[float]] = defaultdict(list)
    made: dict[Path, int] = {}
    for run in runs(experiment, out):
        lines = read_lines(run.folder / "metrics.jsonl")
        made[run.folder] = len(lines)
        taken[run.stage.name] += [float(line["seconds"]) for line in lines if "seconds" in line]
    return [
        Line(
            name=str(run.folder.relative_to(out)),
            updates=int(run.stage.fields.get("updates", TrainConfig.updates)),
            made=made[run.folder],
            finished=(run.folder / DONE).is_file(),
            seconds=sum(t) / len(t) if (t := taken[run.stage.name]) else None,
        )
        for run in runs(experiment, out)
    ]
