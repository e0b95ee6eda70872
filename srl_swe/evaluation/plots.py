"""Plots as inline SVG that follows the page's colours, in light and in dark."""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from srl_swe.evaluation.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# matplotlib takes no CSS colours, so each is drawn as a colour that nothing else uses and replaced in the SVG text.
_COLOURS = {
    "ink": ("#010203", "currentColor"),
    "grid": ("#040506", "var(--line)"),
    "sft": ("#070809", "var(--sft)"),
    "srl": ("#0a0b0c", "var(--srl)"),
    "before": ("#0d0e0f", "var(--before)"),
    "warm": ("#101112", "var(--sft)"),
    "after": ("#131415", "var(--srl)"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One quantity over the updates of a run."""

    title: str
    """What it is, with its unit."""
    points: tuple[tuple[int, float, str], ...]
    """(update, counted through all stages; value; stage)."""


_CURVES = (
    ("reward_mean", "Reward (mean of the batch)"),
    ("kept_fraction", "Kept groups (fraction of sampled)"),
    ("well_formed", "Well-formed answers (fraction)"),
    ("response_tokens", "Response length (tokens)"),
    ("loss", "Loss"),
    ("reward_std", "Reward (standard deviation)"),
    ("grad_norm", "Gradient norm"),
    ("seconds", "Seconds an update"),
)


def curves(metrics: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """The curves that a run's ``metrics.jsonl`` has numbers for; others are left out."""
    found = []
    for key, title in _CURVES:
        points = [
            (number, value, str(record.get("stage", "")))
            for number, record in enumerate(metrics, start=1)
            if (value := _number(record, key)) is not None
        ]
        if points:
            found.append(Curve(title=title, points=tuple(points)))
    return found


def curve_svg(curve: Curve, *, prefix: str, updates: int) -> str:
    """A line with a dot an update, coloured by stage.

    Args:
        curve: What to draw.
        prefix: Keeps ids unique within the page.
        updates: Updates of the whole run, so that all curves have the same axis.
    """
    figure, axes = _axes(curve.title)
    for stage in dict.fromkeys(stage for _, _, stage in curve.points):
        points = [(x, y) for x, y, s in curve.points if s == stage]
        colour = _COLOURS.get(stage, _COLOURS["ink"])[0]
        axes.plot([x for x, _ in points], [y for _, y in points], color=colour, marker="o", markersize=2.5, lw=1.4)
    axes.set_xlabel("update", color=_COLOURS["ink"][0], fontsize=8)
    margin = max(1.0, updates / 40)
    axes.set_xlim(1 - margin, updates + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    first, last = curve.points[0], curve.points[-1]
    label = f"{curve.title}: {first[1]:.3g} at update {first[0]}, {last[1]:.3g} at update {last[0]}"
    return _svg(figure, prefix=prefix, label=label)


def interval_svg(title: str, values: Mapping[str, Interval], *, prefix: str, bars: bool) -> str:
    """A bar (or dot) with its 95% interval for each phase."""
    figure, axes = _axes(title)
    for position, (phase, interval) in enumerate(values.items()):
        colour = _COLOURS.get(phase, _COLOURS["after"])[0]
        low, high = (end if math.isfinite(end) else interval.value for end in (interval.low, interval.high))
        errors = [[interval.value - low], [high - interval.value]]
        if bars:
            axes.bar([position], [interval.value], color=colour, width=0.55)
        marker = "none" if bars else "o"
        axes.errorbar([position], [interval.value], yerr=errors, color=_COLOURS["ink"][0] if bars else colour,
                      fmt=marker, markersize=5, capsize=5, lw=1.4)  # fmt: skip
    axes.set_xticks(range(len(values)), list(values))
    axes.set_xlim(-0.6, len(values) - 0.4)
    if bars:
        axes.set_ylim(0, 1.02)
    label = f"{title}: " + "; ".join(
        f"{phase} {i.value:.3f} ({i.low:.3f} to {i.high:.3f})" for phase, i in values.items()
    )
    return _svg(figure, prefix=prefix, label=label)


def _number(record: Mapping[str, Any], key: str) -> float | None:
    if key == "kept_fraction":
        kept, sampled = _number(record, "kept_groups"), _number(record, "sampled_groups")
        return kept / sampled if kept is not None and sampled else None
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _axes(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.4, 2.5), layout="constrained")
    axes = figure.add_subplot()
    ink, grid = _COLOURS["ink"][0], _COLOURS["grid"][0]
    axes.set_title(title, color=ink, fontsize=9, loc="left")
    axes.tick_params(colors=ink, labelsize=8, length=0)
    axes.grid(axis="y", color=grid, lw=0.7)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(grid)
    return figure, axes


def _svg(figure: Figure, *, prefix: str, label: str) -> str:
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix, "font.family": "sans-serif"}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for drawn, wanted in _COLOURS.values():
        text = text.replace(drawn, wanted)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    opening = f'<svg role="img" aria-label="{html.escape(label)}"'
    # Without its size in points the picture takes the width of its place; the viewBox keeps the proportions.
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(width|height)="[^"]*"', "", head)
    return head.replace("<svg", opening, 1) + ">" + rest
