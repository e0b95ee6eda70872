"""The table of an experiment (``table.json`` of ``srl-swe experiment``) as the site shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_swe.errors import ConfigError
from srl_swe.evaluation.lines import read_meta
from srl_swe.evaluation.statistics import NO_DATA, Interval

TABLE = "table.json"
COSTS = {
    "updates": "Updates",
    "trained_tokens": "Trained tokens",
    "sampled_tokens": "Sampled tokens",
    "seconds": "Seconds",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmRow:
    """One arm."""

    arm: str
    """Its name."""
    runs: int
    """Trained models."""
    cells: tuple[Interval, ...]
    """One a quantity."""
    costs: tuple[float, ...]
    """One each of `COSTS`."""
    notes: tuple[str, ...]
    """What its runs ended with, where that was not the end of their updates or budget."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimRow:
    """One claim."""

    text: str
    """What is claimed."""
    pair: str
    """Which arms are compared, by what."""
    difference: Interval
    """What was found."""
    verdict: str
    """``holds``, ``does not hold`` or ``cannot be told``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentTable:
    """What an experiment came to."""

    title: str
    """For people."""
    seeds: int
    """How many."""
    quantities: tuple[str, ...]
    """What arms were measured by."""
    arms: tuple[ArmRow, ...]
    """In the experiment's order."""
    claims: tuple[ClaimRow, ...]
    """In the experiment's order."""
    missing: tuple[str, ...]
    """Arms that have no results yet."""

    def column(self, quantity: str) -> list[tuple[str, Interval]]:
        """Each arm's value of a quantity."""
        place = self.quantities.index(quantity)
        return [(row.arm, row.cells[place]) for row in self.arms]


def read_table(folder: Path) -> ExperimentTable | None:
    """The table in a folder; ``None`` where there is none, or where it is empty.

    Raises:
        ConfigError: the file is not what an experiment writes.
    """
    record = read_meta(folder / TABLE)
    if not isinstance(record.get("arms"), list):  # another program's file may have that name
        return None
    try:
        return _table(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{folder / TABLE}: not an experiment's table: {type(error).__name__}: {error}") from None


def _table(record: Mapping[str, Any]) -> ExperimentTable:
    quantities = tuple(dict.fromkeys(name for arm in record["arms"] for name in arm["cells"]))
    return ExperimentTable(
        title=str(record["title"]),
        seeds=len(record["seeds"]),
        quantities=quantities,
        arms=tuple(_arm(arm, quantities) for arm in record["arms"]),
        claims=tuple(_claim(claim) for claim in record["claims"]),
        missing=tuple(map(str, record.get("missing", ()))),
    )


def _arm(record: Mapping[str, Any], quantities: Sequence[str]) -> ArmRow:
    return ArmRow(
        arm=str(record["arm"]),
        runs=int(record["runs"]),
        cells=tuple(_interval(record["cells"].get(name)) for name in quantities),
        costs=tuple(float(record["cost"][name]) for name in COSTS),
        notes=tuple(map(str, record.get("notes", ()))),
    )


def _claim(record: Mapping[str, Any]) -> ClaimRow:
    return ClaimRow(
        text=str(record["text"]),
        pair=f"{record['better']} − {record['than']}, {record['measure']}",
        difference=_interval(record["difference"]),
        verdict=str(record["verdict"]),
    )


def _interval(values: Sequence[float | None] | None) -> Interval:
    """Ends that JSON cannot hold are infinite; no value is no data."""
    value, low, high = values or (None, None, None)
    if value is None:
        return NO_DATA
    return Interval(float(value), -math.inf if low is None else float(low), math.inf if high is None else float(high))
