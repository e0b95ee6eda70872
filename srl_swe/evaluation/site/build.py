"""From folders and files to a site."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from srl_swe import __version__
from srl_swe.errors import ConfigError, SrlSweError
from srl_swe.evaluation.site import charts, curves, markers, numbers, samples, thoughts
from srl_swe.evaluation.site.data_files import DATA, Collection
from srl_swe.evaluation.site.episode_entries import write_episodes
from srl_swe.evaluation.site.experiment_tables import COSTS, ExperimentTable
from srl_swe.evaluation.site.numbers import ArmNumbers
from srl_swe.evaluation.site.pages import BROWSED, Site, endings_chart, table_of
from srl_swe.evaluation.site.rollout_entries import RolloutNumbers, write_rollouts
from srl_swe.evaluation.site.runs import Found, Training, find
from srl_swe.evaluation.site.step_entries import write_steps
from srl_swe.evaluation.site.trajectory_entries import (
    FileNumbers,
    expert_actions,
    student_scores,
    write_instances,
    write_trajectories,
)
from srl_swe.files import write_atomically

STATIC = ("site.css", "site.js", "live.js")
_COLOURS = (0, 1, 2, 3, 6, 7, 4)
_PHASE_COLOURS = {"before": 5, "base": 5, "warm": 1, "after": 0}
_MARK = "made-by-srl-swe-report.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """What a report is about."""

    runs: tuple[Path, ...] = ()
    """Folders of runs and evaluations; those below them count too."""
    trajectories: tuple[Path, ...] = ()
    """Trajectory files of any known format."""
    instances: tuple[Path, ...] = ()
    """Step instance files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Browsing:
    """What was written to browse, and what came of it on the way."""

    collections: tuple[Collection, ...]
    tallies: dict[str, dict[str, markers.ThoughtTally]]
    rollouts: RolloutNumbers
    files: list[FileNumbers]
    instances: int


def write_site(
    sources: Sources, out: Path, *, title: str | None = None, live: bool = False, most: int = 20_000
) -> Path:
    """Write the site into a folder and return its first page.

    Args:
        sources: What it is about.
        out: A new or empty folder, or one with an earlier report, which is replaced.
        title: Its name; the runs' names by default.
        live: Whether pages look for news by themselves, as `serve` has them.
        most: Groups of rollouts, trajectories and step instances that a page shows; it says how many it leaves out.

    Raises:
        ConfigError: there is nothing to report, a file is not what it should be, or the folder holds something else.
        TrajectoryError: a file cannot be read at all.
        StorageError: the site cannot be written.
    """
    if not (sources.runs or sources.trajectories or sources.instances):
        raise ConfigError("nothing to report: name the folder of a run, or a file of trajectories")
    _check_place(out)
    found = find(sources.runs, may_be_empty=live)
    colours = _colours(found)
    arms = numbers.arm_numbers(found.evaluations)
    write_atomically(out / _MARK, f"srl-swe {__version__}: this folder is replaced by `srl-swe report`\n")
    browsing = _write_collections(sources, found, out, most)
    collections = {collection.name: collection for collection in browsing.collections if len(collection)}
    site = Site(
        out,
        title=title or _title(sources),
        made=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC") + f", srl-swe {__version__}",
        browsed=list(collections),
        numbers=bool(arms),
        trained=bool(found.trainings),
        live=live,
    )
    for name in STATIC:
        write_atomically(out / "static" / name, (resources.files(__package__) / "static" / name).read_text("utf-8"))
    _write_overview(site, sources, found, arms, colours, browsing)
    if found.trainings:
        _write_training(site, found.trainings, colours, browsing)
    if arms or found.trainings:
        _write_reasoning(site, found, arms, colours, browsing)
    for page in BROWSED:
        if page.name in collections:
            site.write(page.name, browsed=page, browsing=browsing, left_out=collections[page.name].left_out)
    _remove_stale(out, site, browsing)
    return out / "index.html"


def _check_place(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: a file is there; expected a folder, new or with an earlier report")
    if out.is_dir() and not (out / _MARK).exists() and any(out.iterdir()):
        raise ConfigError(f"{out}: not empty, and not a report; name a new folder")


def _title(sources: Sources) -> str:
    named = [path.resolve().name for path in sources.runs] or [p.name for p in sources.trajectories + sources.instances]
    return ", ".join(named[:3]) + (" …" if len(named) > 3 else "")


def _colours(found: Found) -> dict[str, int]:
    """A colour an arm: the phases of a run have their own, and what was trained has that of its evaluation."""
    arms = list(dict.fromkeys(e.arm for e in found.evaluations))
    colours: dict[str, int] = {}
    for arm in arms:
        own = _PHASE_COLOURS.get(arm.rpartition("/")[2])
        if own is not None and own not in colours.values():
            colours[arm] = own
    for arm in [*arms, *dict.fromkeys(t.arm for t in found.trainings)]:
        evaluated = [f"{arm}/after", arm.removesuffix("up"), "after"]  # warmup is evaluated as warm, a run as after
        known = [colours[name] for name in evaluated if name in colours]
        free = [c for c in _COLOURS if c not in colours.values()] or list(_COLOURS)
        colours.setdefault(arm, known[0] if known and arm not in arms else free[0])
    return colours


def _write_collections(sources: Sources, found: Found, out: Path, most: int) -> _Browsing:
    tallies: dict[str, dict[str, markers.ThoughtTally]] = {"to single steps": {}, "in episodes": {}}
    scores = student_scores(found.evaluations)
    steps = write_steps(found.evaluations, out, tallies["to single steps"])
    episodes = write_episodes(found.evaluations, out, tallies["in episodes"])
    rollouts, updates = write_rollouts(found.trainings, out, _actions(sources, found.trainings), most=most)
    trajectories, files = write_trajectories(sources.trajectories, out, scores, most=most)
    instances, total = write_instances(sources.instances, out, scores, most=most)
    return _Browsing(
        collections=(steps, episodes, rollouts, trajectories, instances),
        tallies=tallies,
        rollouts=updates,
        files=files,
        instances=total,
    )


def _actions(sources: Sources, trainings: Sequence[Training]) -> dict[str, str]:
    """The experts' actions: of the files named, and of those that runs were trained on, where they are still there."""
    actions: dict[str, str] = {}
    trained_on = dict.fromkeys(
        Path(name)
        for training in trainings
        if training.rollouts.is_file() and isinstance(training.config.get("trajectories"), list)
        for name in training.config["trajectories"]
        if isinstance(name, str)
    )
    for path in trained_on:
        with contextlib.suppress(SrlSweError):  # it was nice to have
            actions |= expert_actions([path], [])
    return actions | expert_actions(sources.trajectories, sources.instances)


def _write_overview(
    site: Site,
    sources: Sources,
    found: Found,
    arms: Sequence[ArmNumbers],
    colours: Mapping[str, int],
    browsing: _Browsing,
) -> None:
    rates = [(arm.name, arm.rate, colours[arm.name]) for arm in arms if arm.rate]
    likeness = [(arm.name, arm.steps.similarity, colours[arm.name]) for arm in arms if arm.steps]
    formed = [(arm.name, arm.steps.well_formed, colours[arm.name]) for arm in arms if arm.steps]
    pictures = [
        (title, charts.interval_chart(title, rows, rates=rates_))
        for title, rows, rates_ in (
            ("Solve rate", rates, True),
            ("Step similarity to the expert", likeness, False),
            ("Well-formed answers", formed, True),
        )
        if rows
    ]
    site.write(
        "index",
        arms=arms,
        colours=colours,
        pictures=pictures,
        findings=numbers.findings(arms) + samples.paired_verdicts(found.evaluations),
        several=samples.pass_rates(arms),
        experiments=[(table, _experiment_charts(table)) for table in found.experiments],
        costs=tuple(COSTS.values()),
        learning=_learning_charts(found.trainings, colours) if found.experiments else [],
        repositories=numbers.repository_rows(arms),
        endings=endings_chart([(arm.name, arm.endings) for arm in arms]),
        gaps=numbers.gaps(found.evaluations, trained=bool(found.trainings)) if sources.runs else [],
        trainings=found.trainings,
        files=browsing.files,
        instances=browsing.instances,
        summaries=[(name, table_of(summary)) for name, summary in found.summaries],
    )


def _experiment_charts(table: ExperimentTable) -> list[tuple[str, Markup]]:
    """A chart a quantity: a row an arm."""
    return [
        (name, charts.interval_chart(name, [(arm, i, _COLOURS[0]) for arm, i in table.column(name)], rates=False))
        for name in table.quantities
        if any(interval for _, interval in table.column(name))
    ]


def _learning_charts(trainings: Sequence[Training], colours: Mapping[str, int]) -> list[tuple[str, Markup]]:
    """Reward and loss, of all that the training page shows."""
    wanted = ("Reward", "Optimisation")
    groups = [group for name, group in curves.curve_groups(trainings, colours, {}) if name in wanted]
    drawn = [curve for group in groups for curve in group[:1]]
    return [(curve.title, charts.line_chart(curve.title, curve.series)) for curve in drawn]


def _write_training(site: Site, trainings: Sequence[Training], colours: Mapping[str, int], browsing: _Browsing) -> None:
    groups = curves.curve_groups(trainings, colours, browsing.rollouts.intervals())
    site.write(
        "training",
        trainings=trainings,
        legend=_legend(trainings, colours),
        groups=[(name, [(c.title, charts.line_chart(c.title, c.series)) for c in found]) for name, found in groups],
        configurations=[(training.label, table_of(training.config)) for training in trainings if training.config],
    )


def _write_reasoning(
    site: Site, found: Found, arms: Sequence[ArmNumbers], colours: Mapping[str, int], browsing: _Browsing
) -> None:
    rows = thoughts.thought_rows(browsing.tallies, [arm.name for arm in arms])
    drawn = thoughts.thought_curves(found.trainings, colours, browsing.rollouts)
    site.write(
        "reasoning",
        rows=rows,
        uses=thoughts.use_rows(arms, rows),
        legend=_legend(found.trainings, colours),
        pictures=[(curve.title, charts.line_chart(curve.title, curve.series)) for curve in drawn],
        phrases=markers.PHRASES,
        kinds=markers.KINDS,
        colours=colours,
    )


def _legend(trainings: Sequence[Training], colours: Mapping[str, int]) -> list[dict[str, Any]]:
    """A line an arm: its colour, its runs, and how far they are."""
    arms: dict[str, list[Training]] = {}
    for training in trainings:
        arms.setdefault(training.arm, []).append(training)
    return [
        {
            "name": arm,
            "colour": colours[arm],
            "seeds": len(runs),
            "updates": ", ".join(dict.fromkeys(str(len(run.metrics)) for run in runs)),
            "one": all(len(run.metrics) == 1 for run in runs),
            "stages": ", ".join(dict.fromkeys(str(r.get("stage", "")) for run in runs for r in run.metrics[-1:])),
        }
        for arm, runs in arms.items()
    ]


def _remove_stale(out: Path, site: Site, browsing: _Browsing) -> None:
    """What an earlier report left that this one does not have."""
    data = {name for collection in browsing.collections for name in collection.files}
    for path in (out / DATA).glob("*.js"):
        if path.name not in data:
            path.unlink()
    for path in out.glob("*.html"):
        if path.name not in site.written:
            path.unlink()
