"""Training runs as curves: every number in ``metrics.jsonl``, a line for each arm, a band over its seeds.

With one seed the band is, where the rollouts tell, the 95% interval of the update's own mean (whole groups resampled).
With several the line is their mean and the band goes from the lowest to the highest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from srl_swe.evaluation.site.charts import Series
from srl_swe.evaluation.site.runs import Training, as_number
from srl_swe.evaluation.statistics import NO_DATA, Interval

_NAMES = {
    "Reward": {
        "reward_mean": "Reward, mean",
        "similarity_mean": "Similarity, mean (malformed: 0)",
        "reward_std": "Reward, standard deviation",
        "kept_fraction": "Groups kept, of those sampled",
        "solve_rate": "Episodes solved",
    },
    "Answers": {
        "well_formed": "Well-formed answers",
        "response_tokens": "Response length, tokens",
        "token_limit": "Answers cut off at the token limit",
        "entropy": "Entropy, nats a token",
        "logprob_mean": "Log-probability of a sampled token",
    },
    "Optimisation": {
        "loss": "Loss",
        "grad_norm": "Gradient norm",
        "kl": "KL divergence from the reference",
        "clip_fraction": "Tokens clipped",
        "logprob_gap": "Engine and learner, log-probability gap",
        "lr": "Learning rate",
    },
    "Cost": {
        "seconds": "Seconds an update",
        "sampling_seconds": "Seconds of sampling",
        "training_seconds": "Seconds of training",
        "sync_seconds": "Seconds of giving weights to the engine",
        "tokens": "Tokens computed",
        "raw_tokens": "Tokens without sharing",
        "unique_token_ratio": "Tokens computed, of those without sharing",
        "tokens_per_second": "Tokens a second, without sharing",
        "trained_tokens": "Tokens trained on",
        "sampled_tokens": "Tokens sampled",
        "samples": "Samples trained on",
        "peak_memory_mb": "Peak memory, MiB",
    },
}
_OTHER = "Other"
_HIDDEN = {"update", "kept_groups", "sampled_groups"}
_MOST_POINTS = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One quantity of all arms."""

    title: str
    """What it is, with its unit."""
    series: tuple[Series, ...]
    """A line an arm."""


def curve_groups(
    trainings: Sequence[Training],
    colours: Mapping[str, int],
    intervals: Mapping[str, Mapping[str, Mapping[int, Interval]]],
) -> list[tuple[str, list[Curve]]]:
    """Curves by group.

    Args:
        trainings: The runs.
        colours: By arm.
        intervals: By run's label, metric and update: what the rollouts say of the update's mean.
    """
    known = {key: (group, title) for group, names in _NAMES.items() for key, title in names.items()}
    numeric = dict.fromkeys(
        key
        for training in trainings
        for record in training.metrics
        for key, value in record.items()
        if key not in _HIDDEN and as_number(value) is not None
    )
    keys = [key for key in known if key in numeric or key == "kept_fraction"]
    keys += [key for key in numeric if key not in known]
    groups: dict[str, list[Curve]] = {name: [] for name in (*_NAMES, _OTHER)}
    for key in keys:
        group, title = known.get(key, (_OTHER, key.replace("_", " ")))
        series = arm_series(trainings, colours, partial(_intervals, key=key, known=intervals))
        if series:
            groups[group].append(Curve(title=title, series=series))
    return [(name, curves) for name, curves in groups.items() if curves]


def arm_series(
    trainings: Sequence[Training],
    colours: Mapping[str, int],
    points: Callable[[Training], Iterable[tuple[int, Interval]]],
) -> tuple[Series, ...]:
    """A line for each arm that has points: its one run's, or the mean of its seeds with the range between them."""
    found: dict[str, list[dict[int, Interval]]] = {}
    for training in trainings:
        if values := dict(points(training)):
            found.setdefault(training.arm, []).append(values)
    series = []
    for arm, runs in found.items():
        merged = _thinned(sorted((_over_seeds(runs) if len(runs) > 1 else runs[0]).items()))
        label = f"{arm} ({len(runs)} seeds)" if len(runs) > 1 else arm
        series.append(Series(label=label, colour=colours.get(arm, 0), points=tuple(merged)))
    return tuple(series)


def _over_seeds(runs: Sequence[Mapping[int, Interval]]) -> dict[int, Interval]:
    """Only updates that every seed has: a mean of fewer seeds would jump where one ends."""
    shared = set.intersection(*(set(run) for run in runs))
    values = {x: [run[x].value for run in runs] for x in shared}
    return {x: Interval(sum(v) / len(v), min(v), max(v)) for x, v in values.items()}


def _points(training: Training, key: str) -> dict[int, float]:
    points = {}
    for number, record in enumerate(training.metrics, start=1):
        update = as_number(record.get("update"))
        value = _kept(record) if key == "kept_fraction" else as_number(record.get(key))
        if value is not None:
            points[number if update is None else int(update)] = value
    return points


def _kept(record: Mapping[str, object]) -> float | None:
    kept, sampled = as_number(record.get("kept_groups")), as_number(record.get("sampled_groups"))
    return kept / sampled if kept is not None and sampled else None


def _intervals(
    training: Training, *, key: str, known: Mapping[str, Mapping[str, Mapping[int, Interval]]]
) -> list[tuple[int, Interval]]:
    """The values, each with its ends where the rollouts tell them."""
    ends = known.get(training.label, {}).get(key, {})
    return [(x, Interval(y, *ends.get(x, NO_DATA)[1:])) for x, y in _points(training, key).items()]


def _thinned(points: list[tuple[int, Interval]]) -> list[tuple[float, Interval]]:
    """At most so many points as a screen can show, at even distances; the last one stays."""
    stride = -(-len(points) // _MOST_POINTS)
    kept = points[::stride]
    return [*kept, points[-1]] if points and kept[-1] != points[-1] else list(kept)
