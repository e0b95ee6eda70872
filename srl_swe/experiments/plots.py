"""Pictures of an experiment: how its arms learned (``curves.svg``) and what they came to (``arms.svg``)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from srl_swe.experiments.plan import Experiment
from srl_swe.experiments.run import arm_folders
from srl_swe.experiments.table import Row
from srl_swe.files import read_lines

_COLOURS = ("#2f6fde", "#d9822b", "#2a9d6f", "#b5438a", "#6b5bd2", "#8a8f98", "#c0392b", "#0f8b8d", "#7d6608")
_PANELS = {
    "sft": ("loss", "Loss of imitation"),
    "srl": ("reward_mean", "Similarity reward"),
    "rlvr": ("reward_mean", "Outcome reward"),
}
_POINTS = 100


def draw_curves(experiment: Experiment, arms: Sequence[str], out: Path) -> str:
    """Each arm's last stage, as SVG: loss or reward over what the budget counts, in the mean over seeds.

    A band goes from the lowest seed to the highest. A value is the mean over an eighth of its run, and a line ends with
    the shortest of its runs. Empty where nothing was trained.
    """
    found: dict[str, list[tuple[str, list[list[dict[str, Any]]]]]] = {}
    for arm in arms:
        runs = [read_lines(folder / "metrics.jsonl") for folder in arm_folders(experiment, arm, out)]
        if runs := [lines for lines in runs if lines]:
            objective = str(experiment.stages[experiment.arms[arm][-1]].fields.get("objective", "srl"))
            found.setdefault(objective, []).append((arm, runs))
    if not found:
        return ""
    unit, label, scale = "trained_tokens", "trained tokens", 1.0
    if experiment.budget is not None and experiment.budget.unit == "seconds":
        unit, label, scale = "seconds", "minutes of training", 60.0
    figure = _figure(width=3.6 * len(found), height=3.4)
    for axes, objective in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
        key, title = _PANELS[objective]
        for arm, runs in found[objective]:
            colour = _COLOURS[list(arms).index(arm) % len(_COLOURS)]
            _draw(axes, [_smooth(lines, unit, key, scale) for lines in runs], colour, arm)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlabel(label)
        axes.grid(axis="y", alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    return _svg(figure, experiment.title)


def draw_arms(experiment: Experiment, rows: Sequence[Row]) -> str:
    """Each arm's value and interval, as SVG: a panel for every quantity that a claim is about.

    Empty where no claim's quantity was measured.
    """
    quantities = [q for q in dict.fromkeys(c.measure for c in experiment.claims) if any(q in row.cells for row in rows)]
    if not quantities:
        return ""
    figure = _figure(width=2 + 2.8 * len(quantities), height=0.8 + 0.3 * len(rows))
    panels = figure.subplots(1, len(quantities), sharey=True, squeeze=False)[0]
    for axes, quantity in zip(panels, quantities, strict=True):
        for place, row in enumerate(rows):
            if interval := row.cells.get(quantity):
                colour = _COLOURS[place % len(_COLOURS)]
                axes.plot([interval.low, interval.high], [place, place], lw=2, color=colour, solid_capstyle="round")
                axes.plot(interval.value, place, "o", ms=5, color=colour)
        axes.set_title(quantity, loc="left", fontsize=10)
        axes.set_yticks(range(len(rows)), [row.arm for row in rows])
        axes.grid(axis="x", alpha=0.3)
    axes.invert_yaxis()  # one axis, shared: the first arm is at the top
    return _svg(figure, experiment.title)


def _smooth(lines: Sequence[dict[str, Any]], unit: str, key: str, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """What was used up after each update ``[U]``, and the running mean there ``[U]``."""
    values = np.array([float(line[key]) for line in lines])
    width = max(1, len(values) // 8)
    smooth = np.array([values[max(0, i - width + 1) : i + 1].mean() for i in range(len(values))])
    return np.cumsum([float(line.get(unit, 0)) for line in lines]) / scale, smooth


def _draw(axes: Any, runs: Sequence[tuple[np.ndarray, np.ndarray]], colour: str, label: str) -> None:
    start, end = max(used[0] for used, _ in runs), min(used[-1] for used, _ in runs)
    at_P = np.linspace(start, max(start, end), _POINTS)
    values_SP = np.stack([np.interp(at_P, used, values) for used, values in runs])
    axes.plot(at_P, values_SP.mean(axis=0), lw=1.6, color=colour, label=label)
    if len(runs) > 1:
        axes.fill_between(at_P, values_SP.min(axis=0), values_SP.max(axis=0), color=colour, alpha=0.15, lw=0)


def _figure(*, width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Any, salt: str) -> str:
    """The same picture gives the same text, run after run."""
    from matplotlib import rc_context

    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None})
    return buffer.getvalue()
