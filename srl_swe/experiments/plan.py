"""The file of an experiment (TOML) and what it says.

::

    title = "SFT, SRL and RLVR on the same trajectories"
    seeds = [0, 1, 2]

    [train]                       # fields of `TrainConfig` that all stages share
    model = "smollm2-135m-instruct"
    trajectories = ["trajectories/starter.train.jsonl"]

    [stages.warmup]               # fields of `TrainConfig` of one stage
    objective = "sft"
    updates = 12
    shared = true                 # run once, with the first seed, for all arms and seeds

    [stages.srl]
    objective = "srl"
    budget = 1                    # times [budget] below; stages without it run all their updates

    [budget]                      # what is equal among arms
    unit = "trained_tokens"       # or "seconds"
    amount = 200000

    [arms]                        # name = the stages, one after the other; none: the untrained model
    "base" = []
    "SRL" = ["warmup", "srl"]

    [measures.steps]              # what every arm is measured on, see `srl_swe.experiments.measures`
    kind = "steps"
    trajectories = ["trajectories/starter.heldout.jsonl"]

    [[claims]]                    # pairs that are compared, in the order in which they are told
    text = "SRL is better than SFT"
    better = "SRL"
    than = "SFT on actions"
    measure = "steps.similarity"
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from srl_swe.errors import ConfigError, TaskError
from srl_swe.tasks.fields import Fields, read_text

BudgetUnit = Literal["trained_tokens", "seconds"]
MeasureKind = Literal["steps", "episodes", "mathematics"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What arms may use up."""

    unit: BudgetUnit
    """``trained_tokens``: tokens of samples that the loss is taken over; ``seconds``: of the training loop."""
    amount: float
    """How many a stage with ``budget = 1``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One training run of each arm that names it."""

    name: str
    """Its name in the file."""
    fields: dict[str, Any]
    """`TrainConfig` fields, those of ``[train]`` included."""
    shared: bool
    """Whether one run, with the first seed, serves all seeds."""
    budget: float | None
    """Share of the experiment's budget; ``None``: as many updates as it says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One thing that every arm is measured on."""

    name: str
    """Its name in the file."""
    kind: MeasureKind
    """Which measure."""
    fields: dict[str, Any]
    """Its other fields, as they stand in the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A comparison of two arms that the table's page tells in words."""

    text: str
    """What is claimed."""
    better: str
    """The arm that should be ahead."""
    than: str
    """The arm it is compared with."""
    measure: str
    """``MEASURE.QUANTITY``."""
    margin: float | None = None
    """Where the claim is that the two do not differ: by which part of the second's mean they may, such as 0.1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """What a file says."""

    title: str
    """For people."""
    path: Path
    """The file."""
    seeds: tuple[int, ...]
    """At least one."""
    stages: dict[str, Stage]
    """By name."""
    arms: dict[str, tuple[str, ...]]
    """The stages of each arm, by its name, in the file's order."""
    measures: tuple[Measure, ...]
    """In the file's order."""
    claims: tuple[Claim, ...]
    """In the file's order."""
    budget: Budget | None
    """``None``: stages run all their updates."""
    model: str
    """What every arm begins with."""


def read_experiment(path: Path) -> Experiment:
    """Read and check an experiment's file. Paths in it are relative to the working directory, as on the command line.

    Raises:
        ConfigError: it cannot be read, or a field is wrong; file, field and what was expected are named.
    """
    try:
        return _parse(path, tomllib.loads(read_text(path)))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except TaskError as error:
        raise ConfigError(str(error)) from None


def _parse(path: Path, content: dict[str, Any]) -> Experiment:
    top = Fields(path, content)
    title = top.text("title")
    seeds = _seeds(top, content)
    budget = _budget(top)
    train = _table(top, content, "train")
    stages = _stages(top, content, train, budget)
    arms = _arms(top, content, stages)
    measures = _measures(top, content)
    claims = tuple(_claim(top, fields, arms, measures) for fields in top.tables("claims"))
    top.finish()
    return Experiment(
        title=title,
        path=path,
        seeds=seeds,
        stages=stages,
        arms=arms,
        measures=measures,
        claims=claims,
        budget=budget,
        model=str(train.get("model", _default("model"))),
    )


def _seeds(top: Fields, content: Mapping[str, Any]) -> tuple[int, ...]:
    top.mark("seeds")
    seeds = content.get("seeds", [0])
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int and s >= 0 for s in seeds):
        top.fail("seeds", f"expected a list of whole numbers from 0 on, got {seeds!r}")
    if len(set(seeds)) != len(seeds):
        top.fail("seeds", f"a seed is listed twice: {seeds!r}")
    return tuple(seeds)


def _budget(top: Fields) -> Budget | None:
    if not top.has("budget"):
        return None
    fields = top.table("budget")
    unit = fields.text("unit", choices=get_args(BudgetUnit))
    amount = fields.positive("amount", float("nan"))
    fields.finish()
    return Budget(unit=unit, amount=amount)  # type: ignore[arg-type]


def _stages(
    top: Fields, content: Mapping[str, Any], train: Mapping[str, Any], budget: Budget | None
) -> dict[str, Stage]:
    stages: dict[str, Stage] = {}
    for name, table in _table(top, content, "stages").items():
        where = f"stages.{name}"
        if not isinstance(table, dict):
            top.fail(where, f"expected a table, got {table!r}")
        own = dict(table)
        shared, share = own.pop("shared", False), own.pop("budget", None)
        if not isinstance(shared, bool):
            top.fail(f"{where}.shared", f"expected true or false, got {shared!r}")
        if share is not None and (isinstance(share, bool) or not isinstance(share, int | float) or share <= 0):
            top.fail(f"{where}.budget", f"expected a number above 0, got {share!r}")
        if share is not None and budget is None:
            top.fail(f"{where}.budget", "there is no [budget] that it could be a share of")
        fields = {**train, **own}
        _check_fields(top, where, fields)
        stages[name] = Stage(name=name, fields=fields, shared=shared, budget=share)
    return stages


def _check_fields(top: Fields, where: str, fields: Mapping[str, Any]) -> None:
    """Every field is one of the training configuration's, and not one that the experiment sets itself."""
    from srl_swe.training.config import TrainConfig

    known = {field.name for field in dataclasses.fields(TrainConfig)}
    for name in fields:
        if name in ("out", "seed"):
            top.fail(f"{where}.{name}", "the experiment sets it itself")
        if name not in known:
            top.fail(f"{where}.{name}", "no field of the training configuration (`srl-swe train --help`)")


def _arms(top: Fields, content: Mapping[str, Any], stages: Mapping[str, Stage]) -> dict[str, tuple[str, ...]]:
    arms: dict[str, tuple[str, ...]] = {}
    for name, chain in _table(top, content, "arms").items():
        if not isinstance(chain, list) or not all(isinstance(stage, str) for stage in chain):
            top.fail(f"arms.{name}", f"expected a list of stages, got {chain!r}")
        for place, stage in enumerate(chain):
            if stage not in stages:
                top.fail(f"arms.{name}", f"no stage {stage!r}; there are {', '.join(stages) or 'none'}")
            if stages[stage].shared and any(not stages[earlier].shared for earlier in chain[:place]):
                top.fail(f"arms.{name}", f"{stage!r} is shared by all seeds, but comes after one that is not")
        arms[name] = tuple(chain)
    if not arms:
        top.fail("arms", "expected at least one arm")
    unused = [stage for stage in stages if not any(stage in chain for chain in arms.values())]
    if unused:
        top.fail(f"stages.{unused[0]}", "no arm uses it")
    return arms


def _measures(top: Fields, content: Mapping[str, Any]) -> tuple[Measure, ...]:
    measures = []
    for name, table in _table(top, content, "measures").items():
        if not isinstance(table, dict) or table.get("kind") not in get_args(MeasureKind):
            kinds = ", ".join(get_args(MeasureKind))
            top.fail(f"measures.{name}", f"expected a table whose kind is one of {kinds}")
        measures.append(Measure(name=name, kind=table["kind"], fields={k: v for k, v in table.items() if k != "kind"}))
    if not measures:
        top.fail("measures", "expected at least one measure")
    return tuple(measures)


def _claim(top: Fields, fields: Fields, arms: Mapping[str, Any], measures: tuple[Measure, ...]) -> Claim:
    claim = Claim(
        text=fields.text("text"),
        better=fields.text("better"),
        than=fields.text("than"),
        measure=fields.text("measure"),
        margin=fields.positive("margin", 1.0) if fields.has("margin") else None,
    )
    fields.finish()
    for arm in (claim.better, claim.than):
        if arm not in arms:
            top.fail("claims", f"{claim.text!r} names no arm of the experiment: {arm!r}")
    if claim.measure.partition(".")[0] not in {measure.name for measure in measures}:
        top.fail("claims", f"{claim.text!r} names no measure of the experiment: {claim.measure!r}")
    return claim


def _table(top: Fields, content: Mapping[str, Any], key: str) -> dict[str, Any]:
    top.mark(key)
    table = content.get(key, {})
    if not isinstance(table, dict):
        top.fail(key, f"expected a table, got {table!r}")
    return table


def _default(name: str) -> Any:
    from srl_swe.training.config import TrainConfig

    return next(field.default for field in dataclasses.fields(TrainConfig) if field.name == name)
