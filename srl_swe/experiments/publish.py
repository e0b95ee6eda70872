"""Write down what an experiment found so far: ``table.md``, ``table.json``, ``curves.svg`` and ``arms.svg``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from srl_swe.evaluation.lines import read_meta
from srl_swe.evaluation.statistics import Interval
from srl_swe.experiments.measures import Measured
from srl_swe.experiments.plan import Experiment
from srl_swe.experiments.plots import draw_arms, draw_curves
from srl_swe.experiments.run import DONE, arm_folders, chain_folders, is_measured, read_measured
from srl_swe.experiments.table import Comparison, Cost, Row, as_markdown, compare, summarise
from srl_swe.experiments.world import World
from srl_swe.files import read_lines, write_atomically
from srl_swe.machine import machine, versions


def _comparable(better: list[Measured] | None, than: list[Measured] | None) -> bool:
    """Whether both are there: an arm whose seeds are not all measured yet has no pair for some of the other's."""
    if not better or not than:
        return False
    return len(better) == len(than) or 1 in (len(better), len(than))


def publish(experiment: Experiment, out: Path, world: World) -> tuple[list[Row], list[Comparison]]:
    """Sum up every arm that has results, and write the files.

    Raises:
        ConfigError: an arm's runs were not measured on the same things.
    """
    arms = {arm: _measured(experiment, arm, out, world) for arm in experiment.arms}
    arms = {arm: runs for arm, runs in arms.items() if runs}
    rows = [summarise(arm, runs, _cost(experiment, arm, out)) for arm, runs in arms.items()]
    comparisons = [compare(c, arms) for c in experiment.claims if _comparable(arms.get(c.better), arms.get(c.than))]
    notes = {arm: _notes(experiment, arm, out) for arm in arms}
    missing = [arm for arm in experiment.arms if arm not in arms]
    text = f"# {experiment.title}\n\n{as_markdown(rows, comparisons)}"
    for arm, said in notes.items():
        text += "".join(f"\n{arm}: {note}\n" for note in said)
    if missing:
        text += f"\nNot there yet: {', '.join(missing)}.\n"
    write_atomically(out / "table.md", text)
    record = {
        "title": experiment.title,
        "seeds": experiment.seeds,
        "figures": _figures(rows, comparisons),
        "arms": [_row_record(row) | {"notes": notes[row.arm]} for row in rows],
        "claims": [_claim_record(comparison) for comparison in comparisons],
        "missing": missing,
        "machine": machine(),
        "versions": versions(),
    }
    write_atomically(out / "table.json", json.dumps(record, indent=2) + "\n")
    pictures = {"curves.svg": draw_curves(experiment, list(arms), out), "arms.svg": draw_arms(experiment, rows)}
    for name, picture in pictures.items():
        if picture:
            write_atomically(out / name, picture)
    return rows, comparisons


def _measured(experiment: Experiment, arm: str, out: Path, world: World) -> list[Measured]:
    """The runs of an arm on which every measure is done."""
    found = []
    for folder in arm_folders(experiment, arm, out):
        if is_measured(experiment, folder):
            found.append(read_measured(experiment, folder, world))
    return found


def _notes(experiment: Experiment, arm: str, out: Path) -> list[str]:
    """What its runs ended with, where that was not the end of their updates or budget."""
    said = []
    for seed in experiment.seeds:
        for folder in chain_folders(experiment, arm, seed, out):
            note = read_meta(folder / DONE).get("note")
            if isinstance(note, str) and note:
                made = len(read_lines(folder / "metrics.jsonl"))
                said.append(f"{folder.relative_to(out)} ended after {made} updates: {note}")
    return list(dict.fromkeys(said))


def _cost(experiment: Experiment, arm: str, out: Path) -> Cost:
    """Sums over an arm's stages, in the mean over the seeds that are there."""
    sums: list[tuple[float, float, float, float]] = []
    for seed in experiment.seeds:
        folders = chain_folders(experiment, arm, seed, out)
        if not folders or not (folders[-1] / DONE).is_file():
            continue
        lines = [line for folder in folders for line in read_lines(folder / "metrics.jsonl")]
        sums.append(
            (
                float(len(lines)),
                sum(float(line.get("trained_tokens", 0)) for line in lines),
                sum(float(line.get("sampled_tokens", 0)) for line in lines),
                sum(float(line.get("seconds", 0)) for line in lines),
            )
        )
    means = [float(np.mean(column)) for column in zip(*sums, strict=True)] or [0.0] * 4
    return Cost(updates=means[0], trained_tokens=means[1], sampled_tokens=means[2], seconds=means[3])


def _figures(rows: Sequence[Row], comparisons: Sequence[Comparison]) -> dict[str, float]:
    figures = {f"{row.arm}: {name}": interval.value for row in rows for name, interval in row.cells.items()}
    return figures | {f"{c.claim.better} - {c.claim.than}: {c.claim.measure}": c.difference.value for c in comparisons}


def _row_record(row: Row) -> dict[str, Any]:
    cells = {name: _interval_record(interval) for name, interval in row.cells.items()}
    return {"arm": row.arm, "runs": row.runs, "cost": dataclasses.asdict(row.cost), "cells": cells}


def _claim_record(comparison: Comparison) -> dict[str, Any]:
    record = dataclasses.asdict(comparison.claim)
    return record | {
        "difference": _interval_record(comparison.difference),
        "verdict": comparison.verdict,
        "sentence": comparison.sentence,
    }


def _interval_record(interval: Interval) -> list[float | None]:
    """JSON has neither infinity nor not-a-number."""
    return [float(v) if np.isfinite(v) else None for v in interval]
