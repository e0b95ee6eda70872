"""What there is to report: evaluations and training runs, found below the folders that are named."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_swe.errors import ConfigError
from srl_swe.evaluation.lines import read_meta
from srl_swe.evaluation.site.experiment_tables import ExperimentTable, read_table
from srl_swe.evaluation.steps import STEPS, read_steps
from srl_swe.files import iter_lines, read_lines

RESULTS, TRANSCRIPTS, METRICS, ROLLOUTS = "results.jsonl", "transcripts.jsonl", "metrics.jsonl", "rollouts.jsonl"
PHASES = {"before": "the untrained model", "warm": "after the SFT warm-up", "after": "after SRL"}
"""Evaluations with these names come in this order, and are explained."""

_SEED = re.compile(r"seed[-_=]?(\d+)", re.IGNORECASE)
_SKIPPED = {"checkpoints", "tensorboard", "report"}
_DEPTH = 6
_MEASURES = "measures"  # an experiment's folder for what a model is measured on: says nothing in a name


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeLine:
    """One line of ``results.jsonl``, of any version: what a version does not have is ``None``."""

    task_id: str
    """The task."""
    repository: str
    """Its repository, or its data set."""
    solved: bool | None
    """``None``: could not be judged."""
    ending: str
    """How it ended."""
    steps: int
    """Answers given."""
    malformed: int
    """Answers that held no action."""
    seconds: float
    """How long it took."""
    policy: str
    """Who acted."""
    greedy: bool
    """Whether the most likely answers were taken, where others were drawn."""
    tokens: int | None
    """Tokens written in it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A folder with ``results.jsonl`` or ``steps.jsonl``."""

    label: str
    """Its name in the report."""
    arm: str
    """Its name without the seed: evaluations of one arm are taken together."""
    folder: Path
    """Where it is."""
    episodes: tuple[EpisodeLine, ...]
    """Whole episodes."""
    steps: list[dict[str, Any]]
    """Lines of ``steps.jsonl``."""
    meta: dict[str, Any]
    """``meta.json``."""

    @property
    def meaning(self) -> str:
        """What it is, where its name tells."""
        return PHASES.get(self.arm.rpartition("/")[2], "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """A folder with ``metrics.jsonl``."""

    label: str
    """Its name in the report."""
    arm: str
    """Its name without the seed."""
    folder: Path
    """Where it is."""
    metrics: list[dict[str, Any]]
    """One record an update."""
    config: dict[str, Any]
    """How it was made; empty where it is not recorded."""

    @property
    def rollouts(self) -> Path:
        """Its rollouts; there may be no such file."""
        return self.folder / ROLLOUTS


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Everything in the folders of a report."""

    evaluations: tuple[Evaluation, ...] = ()
    """In order."""
    trainings: tuple[Training, ...] = ()
    """In order."""
    summaries: tuple[tuple[str, dict[str, Any]], ...] = ()
    """``summary.json`` of the folders, by name."""
    experiments: tuple[ExperimentTable, ...] = ()
    """``table.json`` of the folders."""

    def __bool__(self) -> bool:
        return bool(self.evaluations or self.trainings)


def find(runs: Sequence[Path], *, may_be_empty: bool = False) -> Found:
    """Look for evaluations and training runs in the folders named and below them.

    Args:
        runs: The folders.
        may_be_empty: Whether a folder may hold nothing yet.

    Raises:
        ConfigError: a folder is missing or holds nothing, or a file is not what it should be.
    """
    evaluations: list[tuple[Any, Evaluation]] = []
    trainings: list[tuple[Any, Training]] = []
    summaries = []
    experiments = []
    seen: set[Path] = set()
    for number, (run, name) in enumerate(zip(runs, _names(runs), strict=True)):
        if not run.is_dir():
            raise ConfigError(f"{run}: no such folder; expected the folder of a run or of an evaluation")
        before = len(evaluations) + len(trainings)
        for folder in walk(run):
            if folder.resolve() in seen:
                continue
            seen.add(folder.resolve())
            inner = folder.relative_to(run).as_posix()
            label = name if inner == "." else inner if len(runs) == 1 else f"{name}/{inner}"
            arm = _without_seed(label) or name
            place = (number, _rank(arm), _natural(label))
            if (folder / RESULTS).is_file() or (folder / STEPS).is_file():
                evaluations.append((place, _evaluation(folder, label, arm)))
            if (folder / METRICS).is_file():
                trainings.append((place, _training(folder, label, arm)))
            if summary := read_meta(folder / "summary.json"):
                summaries.append((label, summary))
            if (table := read_table(folder)) is not None:
                experiments.append(table)
        if len(evaluations) + len(trainings) == before and not may_be_empty:
            expected = ", ".join((METRICS, RESULTS, STEPS))
            raise ConfigError(f"{run}: nothing to report; expected {expected}, in it or in folders below it")
    return Found(
        evaluations=tuple(e for _, e in sorted(evaluations, key=lambda pair: pair[0])),
        trainings=tuple(t for _, t in sorted(trainings, key=lambda pair: pair[0])),
        summaries=tuple(summaries),
        experiments=tuple(experiments),
    )


def _names(runs: Sequence[Path]) -> list[str]:
    """A short name for each folder: as many of its last parts as tell it from the others."""
    parts = [run.resolve().parts for run in runs]
    for length in range(1, max((len(p) for p in parts), default=1) + 1):
        names = ["/".join(p[-length:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise ConfigError("the same folder is named twice")


def walk(run: Path) -> Iterator[Path]:
    """The folder and those below it; what is there itself comes before what only a link leads to."""
    linked: list[Path] = []
    for found, inner, _ in os.walk(run):
        folder = Path(found)
        depth = len(folder.relative_to(run).parts)
        names = sorted(name for name in inner if name not in _SKIPPED and not name.startswith("."))
        linked += [folder / name for name in names if (folder / name).is_symlink()]
        inner[:] = [name for name in names if depth < _DEPTH and not (folder / name).is_symlink()]
        yield folder
    yield from linked


def _evaluation(folder: Path, label: str, arm: str) -> Evaluation:
    lines = enumerate(iter_lines(folder / RESULTS), start=1)
    return Evaluation(
        label=label,
        arm=arm,
        folder=folder,
        episodes=tuple(_episode(record, f"{folder / RESULTS}: record {number}") for number, record in lines),
        steps=read_steps(folder),
        meta=read_meta(folder / "meta.json"),
    )


def _episode(record: dict[str, Any], where: str) -> EpisodeLine:
    task_id, solved = record.get("task_id"), record.get("solved")
    if not isinstance(task_id, str) or not (solved is None or isinstance(solved, bool)):
        raise ConfigError(f"{where}: not an episode's result: expected task_id, and solved (true, false or null)")
    tokens = as_number(record.get("completion_tokens"))
    return EpisodeLine(
        task_id=task_id,
        repository=str(record.get("repository") or task_id),
        solved=solved,
        ending=str(record.get("ending", "unknown")),
        steps=int(as_number(record.get("steps")) or 0),
        malformed=int(as_number(record.get("malformed")) or 0),
        seconds=as_number(record.get("seconds")) or 0.0,
        policy=str(record.get("policy", "")),
        greedy=record.get("greedy") is True,
        tokens=None if tokens is None else int(tokens),
    )


def as_number(value: Any) -> float | None:
    """A finite number, or ``None`` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        return None
    return float(value)


def _training(folder: Path, label: str, arm: str) -> Training:
    config = read_meta(folder / "config.json").get("config", {})
    metrics = read_lines(folder / METRICS)
    return Training(
        label=label, arm=arm, folder=folder, metrics=metrics, config=config if isinstance(config, dict) else {}
    )


def _without_seed(label: str) -> str:
    """``srl/seed-0/after`` is of the arm ``srl/after``, ``srl-seed1`` of ``srl``; empty where the seed is all."""
    parts = [_SEED.sub("", part).strip("-_. ") for part in label.split("/")]
    return "/".join(part for part in parts if part and part != _MEASURES)


def _rank(arm: str) -> tuple[Any, ...]:
    folder, _, name = arm.rpartition("/")
    order = list(PHASES).index(name) if name in PHASES else len(PHASES)
    return _natural(folder), order, _natural(name)


def _natural(text: str) -> tuple[Any, ...]:
    """Sorts ``seed-10`` after ``seed-9``."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part)
