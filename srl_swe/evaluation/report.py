"""One self-contained HTML page about a run, from whatever of it is there."""

from __future__ import annotations

import datetime
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from srl_swe import __version__
from srl_swe.errors import ConfigError
from srl_swe.evaluation.chosen import RULE, choose
from srl_swe.evaluation.lines import read_meta
from srl_swe.evaluation.runner import read_results, solve_rate
from srl_swe.evaluation.statistics import Interval
from srl_swe.evaluation.steps import StepSummary, compare_steps, read_steps, summarise_steps
from srl_swe.files import read_lines, write_atomically
from srl_swe.records import EpisodeResult

PHASES = ("before", "warm", "after")
"""The evaluations of a run, in order. A folder of one evaluation is reported as a single phase."""

MEANINGS = {
    "before": "the untrained model",
    "warm": "after the SFT warm-up",
    "after": "after SRL",
}

OBSERVATION_CHARS = 800


@dataclass(kw_only=True)
class Phase:
    """One evaluation."""

    name: str
    """before, warm, after, or the folder's name."""
    results: list[EpisodeResult]
    """Its episodes."""
    steps: list[dict[str, Any]]
    """Its step records."""
    transcripts: list[dict[str, Any]]
    """What happened in the episodes."""
    meta: dict[str, Any]
    """How it was made."""
    summary: StepSummary | None = field(init=False)
    """Means over ``steps``."""
    rate: Interval = field(init=False)
    """Solve rate."""

    def __post_init__(self) -> None:
        self.summary = summarise_steps(self.steps) if self.steps else None
        self.rate = solve_rate(self.results)

    @property
    def meaning(self) -> str:
        """The phase in words."""
        return MEANINGS.get(self.name, "")

    @property
    def judged(self) -> list[EpisodeResult]:
        """Episodes that could be judged."""
        return [result for result in self.results if result.solved is not None]


def write_report(run: Path, out: Path | None = None) -> Path:
    """Write ``RUN/report.html`` (or ``out``) and return its path.

    Args:
        run: A run's folder (``metrics.jsonl``, ``before/``, ``warm/``, ``after/``, ``summary.json``, any of them), or
            the folder of one evaluation.
        out: Where the page goes.

    Raises:
        ConfigError: there is nothing to report, or a file is not what it should be.
        StorageError: the page cannot be written.
    """
    if not run.is_dir():
        raise ConfigError(f"{run}: no such folder; expected the folder of a run or of an evaluation")
    phases = [phase for name in PHASES if (phase := _phase(run / name, name))]
    if not phases and (alone := _phase(run, run.resolve().name)):
        phases = [alone]
    metrics = read_lines(run / "warmup" / "metrics.jsonl") + read_lines(run / "metrics.jsonl")
    if not phases and not metrics:
        raise ConfigError(
            f"{run}: nothing to report; expected metrics.jsonl, results.jsonl or steps.jsonl (in it, or in before/ …)"
        )
    path = out or run / "report.html"
    write_atomically(path, _render(run, phases, metrics))
    return path


def _phase(folder: Path, name: str) -> Phase | None:
    results, steps = read_results(folder), read_steps(folder)
    if not results and not steps:
        return None
    transcripts = [r for r in read_lines(folder / "transcripts.jsonl") if isinstance(r.get("transcript"), list)]
    return Phase(name=name, results=results, steps=steps, transcripts=transcripts, meta=read_meta(folder / "meta.json"))


def _render(run: Path, phases: list[Phase], metrics: list[dict[str, Any]]) -> str:
    from srl_swe.evaluation import plots  # matplotlib takes most of a second to import

    environment = Environment(
        loader=PackageLoader("srl_swe.evaluation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"percent": _percent, "number": _number, "clip": _clip}
    found = plots.curves(metrics)
    curves = [Markup(plots.curve_svg(curve, prefix=f"c{i}", updates=len(metrics))) for i, curve in enumerate(found)]
    stages = [str(record.get("stage", "")) for record in metrics]
    return environment.get_template("report.html").render(
        name=run.resolve().name,
        version=__version__,
        made=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        phases=phases,
        intervals=_interval_plots(phases),
        findings=_findings(phases),
        updates=len(metrics),
        stages={stage: stages.count(stage) for stage in dict.fromkeys(stages)},
        curves=curves,
        repositories=_repositories(phases),
        chosen=choose({phase.name: phase.steps for phase in phases}),
        rule=RULE,
        episodes=_episodes(phases),
        summary=_summary(run),
        missing=_missing(run, phases, metrics),
    )


def _interval_plots(phases: Sequence[Phase]) -> list[Markup]:
    from srl_swe.evaluation import plots

    rates = {phase.name: phase.rate for phase in phases if phase.rate}
    similarities = {phase.name: phase.summary.similarity for phase in phases if phase.summary}
    pictures = []
    if rates:
        pictures.append(plots.interval_svg("Solve rate, 95% interval", rates, prefix="rate", bars=True))
    if similarities:
        title = "Step similarity to the expert, 95% interval"
        pictures.append(plots.interval_svg(title, similarities, prefix="similarity", bars=False))
    return [Markup(picture) for picture in pictures]


def _findings(phases: Sequence[Phase]) -> list[str]:
    """What the numbers do and do not show, in sentences."""
    found = []
    for earlier, later in itertools.pairwise(phases):
        pair = f"{earlier.name} to {later.name}"
        if earlier.summary and later.summary:
            change = compare_steps(earlier.steps, later.steps)
            if change:
                was, now = earlier.summary.similarity, later.summary.similarity
                apart = now.is_disjoint(was)
                found.append(
                    f"{pair}: step similarity {was.value:.3f} → {now.value:.3f},"
                    f" paired change {_signed(change)}; the two 95% intervals {'are disjoint' if apart else 'overlap'}."
                    f" {_reading(change)}"
                )
        if earlier.rate and later.rate:
            solved = [sum(bool(r.solved) for r in phase.judged) for phase in (earlier, later)]
            apart = later.rate.is_disjoint(earlier.rate)
            reading = "" if apart else " The intervals overlap: no difference is shown."
            found.append(
                f"{pair}: solved {solved[0]} of {len(earlier.judged)} → {solved[1]} of {len(later.judged)}.{reading}"
            )
    return found


def _reading(change: Interval) -> str:
    if not math.isfinite(change.low):
        return "One task only: nothing can be said about others."
    if change.low > 0:
        return "The change's interval is above zero."
    return (
        "The change's interval is below zero."
        if change.high < 0
        else "The change may be chance: its interval holds zero."
    )


def _repositories(phases: Sequence[Phase]) -> list[dict[str, Any]]:
    """A row a repository: solved of judged, and mean step similarity, in every phase."""
    task_repository = {r.task_id: r.repository for phase in phases for r in phase.results}
    for phase in phases:
        for record in phase.steps:
            # Without an episode the repository is not known; the task stands for it.
            task_repository.setdefault(record["task_id"], record["task_id"])
    rows = []
    for repository in sorted(set(task_repository.values())):
        cells = []
        for phase in phases:
            results = [r for r in phase.judged if r.repository == repository]
            steps = [r for r in phase.steps if task_repository[r["task_id"]] == repository]
            solved = sum(bool(r.solved) for r in results)
            cells.append({"solved": solved, "of": len(results), "steps": summarise_steps(steps) if steps else None})
        rows.append({"repository": repository, "cells": cells})
    return rows


def _episodes(phases: Sequence[Phase]) -> list[dict[str, Any]]:
    """A group a task, with each phase's transcript."""
    tasks: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for phase in phases:
        for record in phase.transcripts:
            tasks.setdefault(str(record.get("task_id")), []).append((phase.name, record))
    return [
        {"task_id": task_id, "problem": str(runs[0][1].get("problem", "")), "runs": runs}
        for task_id, runs in sorted(tasks.items())
    ]


def _summary(run: Path) -> list[tuple[str, str]]:
    """``RUN/summary.json`` as rows; nested keys joined by dots."""

    def rows(value: Any, name: str) -> list[tuple[str, str]]:
        if isinstance(value, Mapping) and value:
            return [row for key, inner in value.items() for row in rows(inner, f"{name}.{key}" if name else str(key))]
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return [(name, "\n".join(value))]
        return [(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))]

    summary = read_meta(run / "summary.json")
    return rows(summary, "") if summary else []


def _missing(run: Path, phases: Sequence[Phase], metrics: Sequence[Any]) -> list[str]:
    missing = []
    names = {phase.name for phase in phases}
    if not metrics:
        missing.append("No metrics.jsonl: nothing was trained here, so there are no curves.")
    if not phases:
        missing.append("No evaluation: the folder holds neither results.jsonl nor steps.jsonl.")
    elif names & set(PHASES):
        missing += [f"No evaluation “{name}” ({MEANINGS[name]})." for name in PHASES if name not in names]
    for phase in phases:
        if not phase.results:
            missing.append(f"“{phase.name}” has no episodes, so no solve rate.")
        if not phase.steps:
            missing.append(f"“{phase.name}” has no step evaluation.")
        expected = len(phase.meta.get("episodes", {}).get("tasks", ()))
        if phase.results and expected > len(phase.results):
            missing.append(f"“{phase.name}” is not finished: {len(phase.results)} of {expected} episodes.")
        if lost := len(phase.results) - len(phase.judged):
            missing.append(f"“{phase.name}”: failed for no fault of the policy, and in no rate: {lost} episodes.")
    if not (run / "summary.json").exists():
        missing.append("No summary.json: how the run was made is not recorded.")
    return missing


def _percent(interval: Interval) -> Markup:
    if not interval:
        return Markup("–")
    low, high = (f"{end:.1%}" for end in (interval.low, interval.high))
    return _with_interval(f"{interval.value:.1%}", low, high, known=math.isfinite(interval.low))


def _number(interval: Interval) -> Markup:
    if not interval:
        return Markup("–")
    low, high = (f"{end:.3f}" for end in (interval.low, interval.high))
    return _with_interval(f"{interval.value:.3f}", low, high, known=math.isfinite(interval.low))


def _with_interval(value: str, low: str, high: str, *, known: bool) -> Markup:
    """The number, and its interval in a line below it."""
    interval = f"[{low}, {high}]" if known else "one task: no interval"
    return Markup('{}<br><span class="muted">{}</span>').format(value, interval)


def _signed(interval: Interval) -> str:
    if not math.isfinite(interval.low):
        return f"{interval.value:+.3f}"
    return f"{interval.value:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def _clip(text: object, limit: int = OBSERVATION_CHARS) -> str:
    whole = str(text)
    if len(whole) <= limit:
        return whole
    half = limit // 2
    return f"{whole[:half]}\n… {len(whole) - 2 * half} characters left out …\n{whole[-half:]}"
