"""Did it learn? Held-out step similarity of several seeds, after the warm-up and after SRL: one file, one plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_swe.errors import ConfigError
from srl_swe.evaluation.lines import read_meta
from srl_swe.evaluation.runner import read_results, solve_rate
from srl_swe.evaluation.statistics import Interval
from srl_swe.evaluation.steps import compare_steps, read_steps, summarise_steps
from srl_swe.files import read_lines, write_atomically
from srl_swe.machine import machine, versions

_COLOURS = {"warm": "#8a8f98", "after": "#2f6fde"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Learning:
    """What several seeds show."""

    figures: dict[str, float]
    """Named numbers."""
    sentence: str
    """What they say."""


def write_learning(runs: Sequence[Path], out: Path) -> Learning:
    """Compare ``warm`` with ``after`` in each run; write ``learning.json`` and ``learning.svg`` in ``out``.

    Args:
        runs: One folder a seed, each with ``warm/`` and ``after/`` on the same held-out steps.
        out: Where the two files go.

    Raises:
        ConfigError: a run has no step evaluation, or not the same steps.
    """
    seeds = [_seed(run) for run in runs]
    disjoint = sum(bool(seed["disjoint"] and seed["change"][0] > 0) for seed in seeds)
    figures: dict[str, float] = {"seeds": len(seeds), "seeds_up_with_disjoint_intervals": disjoint}
    for index, seed in enumerate(seeds):
        figures[f"seed{index}_similarity_warm"] = seed["similarity"]["warm"][0]
        figures[f"seed{index}_similarity_after"] = seed["similarity"]["after"][0]
    sentence = (
        f"Held-out step similarity rose from warm-up to SRL, with disjoint 95% intervals, in {disjoint} of "
        f"{len(seeds)} seeds."
    )
    record = {
        "figures": figures,
        "sentence": sentence,
        "seeds": seeds,
        "machine": machine(),
        "versions": versions(),
    }
    write_atomically(out / "learning.json", json.dumps(record, indent=2) + "\n")
    write_atomically(out / "learning.svg", _plot(runs, seeds))
    return Learning(figures=figures, sentence=sentence)


def _seed(run: Path) -> dict[str, Any]:
    steps = {phase: read_steps(run / phase) for phase in ("warm", "after")}
    ids = {phase: {record["instance_id"] for record in records} for phase, records in steps.items()}
    if not ids["warm"] or ids["warm"] != ids["after"]:
        raise ConfigError(f"{run}: warm/ and after/ must hold step evaluations of the same steps")
    summaries = {phase: summarise_steps(records) for phase, records in steps.items()}
    rates = {phase: solve_rate(read_results(run / phase)) for phase in ("before", "warm", "after")}
    metrics = read_lines(run / "metrics.jsonl")
    return {
        "run": run.name,
        "summary": read_meta(run / "summary.json"),
        "steps": len(ids["warm"]),
        "similarity": {phase: list(summary.similarity) for phase, summary in summaries.items()},
        "similarity_of_well_formed": {phase: _of_well_formed(records) for phase, records in steps.items()},
        "reward": {phase: list(summary.reward) for phase, summary in summaries.items()},
        "well_formed": {phase: list(summary.well_formed) for phase, summary in summaries.items()},
        "change": list(compare_steps(steps["warm"], steps["after"])),
        "disjoint": summaries["after"].similarity.is_disjoint(summaries["warm"].similarity),
        "solve_rate": {phase: list(rate) for phase, rate in rates.items() if rate},
        "updates": len(metrics),
        "reward_by_update": [round(float(record["reward_mean"]), 4) for record in metrics if "reward_mean" in record],
        "seconds": sum(float(record["seconds"]) for record in metrics if "seconds" in record),
    }


def _of_well_formed(records: Sequence[dict[str, Any]]) -> float | None:
    """Mean similarity of the well-formed answers alone: what rose beyond the form."""
    values = [float(s["similarity"]) for record in records for s in record["samples"] if s["well_formed"]]
    return sum(values) / len(values) if values else None


def _plot(runs: Sequence[Path], seeds: Sequence[dict[str, Any]]) -> str:
    """Left: the batch reward of each seed over its updates; right: held-out step similarity with intervals."""
    import io

    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for run, seed in zip(runs, seeds, strict=True):
        rewards = seed["reward_by_update"]
        width = max(1, len(rewards) // 8)
        smooth = [sum(rewards[max(0, i - width + 1) : i + 1]) / min(width, i + 1) for i in range(len(rewards))]
        left.plot(range(1, len(smooth) + 1), smooth, lw=1.6, label=run.name)
    left.set_title("Training reward, running mean", loc="left", fontsize=10)
    left.set_xlabel("SRL update")
    left.legend(frameon=False, fontsize=8)
    for position, seed in enumerate(seeds):
        for offset, phase in ((-0.12, "warm"), (0.12, "after")):
            interval = Interval(*seed["similarity"][phase])
            right.errorbar(
                [position + offset],
                [interval.value],
                yerr=[[interval.value - interval.low], [interval.high - interval.value]],
                fmt="o",
                capsize=4,
                color=_COLOURS[phase],
                label={"warm": "after the SFT warm-up", "after": "after SRL"}[phase] if position == 0 else None,
            )
    right.set_title("Held-out step similarity, 95% intervals", loc="left", fontsize=10)
    right.set_xticks(range(len(seeds)), [run.name for run in runs])
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.grid(axis="y", alpha=0.3)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "learning"}):
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None})
    return buffer.getvalue()
