"""Pictures as inline SVG: colours come from the style sheet, in light and in dark, and they scale with the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from srl_swe.evaluation.site.text import clean
from srl_swe.evaluation.statistics import Interval

WIDTH = 360
_LEFT, _RIGHT, _TOP, _BOTTOM, _HEIGHT = 42, 10, 10, 34, 198
_MOST_DOTS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One line of a chart."""

    label: str
    """Its name."""
    colour: int
    """Which of the style sheet's colours."""
    points: tuple[tuple[float, Interval], ...]
    """(x, value with its ends); ends that are not finite are not drawn."""


def line_chart(title: str, series: Sequence[Series], *, x_label: str = "update") -> Markup:
    """Lines over x, each with the band between its ends."""
    drawn = [s for s in series if s.points]
    xs = [x for s in drawn for x, _ in s.points]
    ys = [end for s in drawn for _, i in s.points for end in (i.value, i.low, i.high) if math.isfinite(end)]
    x_ticks = ticks(min(xs), max(xs), 5, whole=True)
    y_ticks = ticks(min(ys), max(ys), 4)
    x_scale = _scale(min(xs), max(xs), _LEFT, WIDTH - _RIGHT)
    y_scale = _scale(y_ticks[0], y_ticks[-1], _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y_scale(y):.1f}" y2="{y_scale(y):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{y_scale(y) + 3.5:.1f}" text-anchor="end">{_tick(y, y_ticks)}</text>'
        for y in y_ticks
    ]
    parts += [
        f'<text class="tick" x="{x_scale(x):.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{x:g}</text>'
        for x in x_ticks
        if min(xs) <= x <= max(xs)
    ]
    parts.append(
        f'<text class="tick" x="{WIDTH - _RIGHT}" y="{_HEIGHT - 3}" text-anchor="end">{escape(x_label)}</text>'
    )
    for one in drawn:
        parts.append(_band(one, x_scale, y_scale))
    for one in drawn:
        parts.append(_line(one, x_scale, y_scale))
    said = "; ".join(_said(s) for s in drawn)
    return _svg(_HEIGHT, f"{title}. {said}", parts)


def interval_chart(title: str, rows: Sequence[tuple[str, Interval, int]], *, rates: bool) -> Markup:
    """A dot with its interval in each row; ``rates``: from 0 to 1, in percent."""
    shown = [(label, interval, colour) for label, interval, colour in rows if interval]
    ends = [end for _, i, _ in shown for end in i if math.isfinite(end)]
    marks = [0.0, 0.25, 0.5, 0.75, 1.0] if rates else ticks(min([*ends, 0.0]), max(ends), 4)
    scale = _scale(marks[0], marks[-1], 8, WIDTH - 16)
    bottom = 34 * len(shown) + 8
    parts = [
        f'<line class="grid" x1="{scale(x):.1f}" x2="{scale(x):.1f}" y1="4" y2="{bottom}"/>'
        f'<text class="tick" x="{scale(x):.1f}" y="{bottom + 14}" text-anchor="middle">'
        f"{f'{x:.0%}' if rates else _tick(x, marks)}</text>"
        for x in marks
    ]
    for number, (label, interval, colour) in enumerate(shown):
        middle = 34 * number + 26
        low, high = (end if math.isfinite(end) else interval.value for end in (interval.low, interval.high))
        parts.append(
            f'<text class="name" x="8" y="{middle - 9}">{escape(clean(shorten(label, 34)))}</text>'
            f'<text class="value" x="{WIDTH - 8}" y="{middle - 9}" text-anchor="end">{spoken(interval, rates)}</text>'
            f'<line class="whisker s{colour}" x1="{scale(low):.1f}" x2="{scale(high):.1f}"'
            f' y1="{middle}" y2="{middle}"/>'
            f'<circle class="dot s{colour}" cx="{scale(interval.value):.1f}" cy="{middle}" r="4.5"/>'
        )
    said = "; ".join(f"{label} {spoken(interval, rates)}" for label, interval, _ in shown)
    return _svg(bottom + 20, f"{title}. {said}", parts)


def whisker(interval: Interval, colour: int) -> Markup:
    """A rate and its interval, small enough for a cell of a table."""
    if not interval:
        return Markup("")
    scale = _scale(0, 1, 4, 96)
    return Markup(
        '<svg class="spark" viewBox="0 0 100 12" aria-hidden="true"><line class="grid" x1="4" x2="96" y1="6" y2="6"/>'
        f'<line class="whisker s{colour}" x1="{scale(interval.low):.1f}" x2="{scale(interval.high):.1f}"'
        ' y1="6" y2="6"/>'
        f'<circle class="dot s{colour}" cx="{scale(interval.value):.1f}" cy="6" r="3.5"/></svg>'
    )


def spoken(interval: Interval, rates: bool) -> str:
    """A value and its interval in words."""
    if not interval:
        return "no data"
    form = ".1%" if rates else ".3f" if abs(interval.value) < 100 else ",.0f"
    value, low, high = (minus(format(end, form)) for end in interval)
    return f"{value} [{low}, {high}]" if math.isfinite(interval.low) and math.isfinite(interval.high) else value


def minus(number: str) -> str:
    """A number in words with a true minus sign."""
    return number.replace("-", "−")


def shorten(text: str, limit: int) -> str:
    """One line of at most ``limit`` characters, its middle left out."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit * 2 // 3]}…{line[-(limit - limit * 2 // 3 - 1) :]}"


def ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """Round numbers that enclose [low, high], about ``count`` steps of 1, 2 or 5 times a power of ten."""
    if high - low < 1e-12 * max(1.0, abs(high)):
        pad = abs(high) / 2
        low, high = (low, high + 1) if whole else (0.0, 1.0) if 0 <= low <= 1 else (low - pad, high + pad)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    if whole:
        step = max(1.0, step)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, last + 1)]


def _scale(low: float, high: float, start: float, end: float) -> _Scale:
    return _Scale(low, high, start, end)


class _Scale:
    """A linear map from values to places."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.start = low, start
        self.factor = (end - start) / (high - low) if high > low else 0.0

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) * self.factor


def _band(series: Series, x_scale: _Scale, y_scale: _Scale) -> str:
    closed = [(x, i) for x, i in series.points if math.isfinite(i.low) and math.isfinite(i.high)]
    if len(closed) < 2 or all(i.low == i.high for _, i in closed):
        return ""
    upper = [f"{x_scale(x):.1f},{y_scale(i.high):.1f}" for x, i in closed]
    lower = [f"{x_scale(x):.1f},{y_scale(i.low):.1f}" for x, i in reversed(closed)]
    return f'<polygon class="band s{series.colour}" points="{" ".join(upper + lower)}"/>'


def _line(series: Series, x_scale: _Scale, y_scale: _Scale) -> str:
    places = [(x_scale(x), y_scale(i.value)) for x, i in series.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = ""
    if len(places) <= _MOST_DOTS:
        dots = "".join(
            f'<circle class="dot s{series.colour}" cx="{x:.1f}" cy="{y:.1f}" r="1.9"><title>'
            f"{escape(clean(series.label))}, {at:g}: {spoken(value, rates=False)}</title></circle>"
            for (x, y), (at, value) in zip(places, series.points, strict=True)
        )
    return f'<polyline class="line s{series.colour}" points="{path}"/>{dots}'


def _said(series: Series) -> str:
    (first, start), (last, end) = series.points[0], series.points[-1]
    return f"{series.label}: {start.value:.3g} at {first:g}, {end.value:.3g} at {last:g}"


def _tick(value: float, all_ticks: Sequence[float]) -> str:
    step = abs(all_ticks[1] - all_ticks[0]) if len(all_ticks) > 1 else 1.0
    if max(map(abs, all_ticks)) >= 100_000 or step < 0.0005:
        return "0" if abs(value) < step / 1000 else f"{value:.0e}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return minus(f"{value + 0.0:.{digits}f}")


def _svg(height: int, label: str, parts: Sequence[str]) -> Markup:
    opening = f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(clean(label))}">'
    return Markup(opening + "".join(parts) + "</svg>")
