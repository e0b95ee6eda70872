"""Two evaluations of the same tasks, compared pair by pair, with a plain sentence for what is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from srl_swe.errors import ConfigError
from srl_swe.evaluation.estimators import pass_at_k
from srl_swe.evaluation.lines import read_meta
from srl_swe.evaluation.runner import META, read_results
from srl_swe.evaluation.statistics import Interval, bootstrap_mean, mcnemar, paired_difference, sign_flip
from srl_swe.evaluation.summary import Cluster, SameAnswer, fraction_solved, judged_by_task, steps_taken, vote_of
from srl_swe.records import EpisodeResult

LEVEL = 0.05
"""p-values below it are called unlikely to be chance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One quantity in both runs, over the tasks that both have."""

    name: str
    """What it is."""
    first: float
    """Mean over tasks in the first run."""
    second: float
    """Mean over tasks in the second run."""
    change: Interval
    """Second less first, with its paired interval."""
    p: float
    """Two-sided p-value: how likely such a difference is by chance alone."""
    rate: bool = False
    """Whether it is a rate, from 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What comparing two runs found."""

    names: tuple[str, str]
    """What the runs are called."""
    series: Literal["greedy", "sampled"]
    """Which episodes were compared."""
    tasks: int
    """Tasks that were judged in both."""
    solve_rate: Difference
    """The first thing to look at; the verdict is about it alone."""
    only_first: int
    """Tasks that only the first run solved, in one episode or more."""
    only_second: int
    """Tasks that only the second run solved."""
    test: str
    """How the verdict's p-value was found."""
    others: tuple[Difference, ...]
    """pass@k, majority@k, steps, tokens; without a correction for looking at several."""
    left_out: tuple[str, ...]
    """What is not in the comparison, and why, a sentence each."""
    verdict: str
    """One plain sentence."""


def compare_runs(
    first: Path, second: Path, *, seed: int = 0, cluster: Cluster = "task", same: SameAnswer | None = None
) -> Comparison:
    """Compare the episodes in two folders of evaluations.

    Greedy episodes are compared where both have them, else the drawn ones. With one episode a task the test is
    McNemar's, exact; else a randomisation test on the tasks' rates. Intervals are paired bootstraps.

    Args:
        first: A folder with ``results.jsonl``.
        second: Another.
        seed: Of the bootstraps.
        cluster: What is resampled together.
        same: Whether two answers are the same, for the vote; ``None``: where they are equal.

    Raises:
        ConfigError: a folder has no results, or they have no task in common.
    """
    runs = [read_results(folder) for folder in (first, second)]
    for folder, results in zip((first, second), runs, strict=True):
        if not results:
            raise ConfigError(f"{folder}: no results.jsonl with episodes in it")
    series, chosen = _choose(runs, (first, second))
    by_task = [judged_by_task(results) for results in chosen]
    hashes = [read_meta(folder / META).get("episodes", {}).get("tasks", {}) for folder in (first, second)]
    common, left_out = _common(chosen, by_task, hashes)
    if not common:
        raise ConfigError(f"{first} and {second}: no task was judged in both: {'; '.join(left_out) or 'none is there'}")
    pairs = [[side[task] for task in common] for side in by_task]
    names = _names(first, second)
    return _compare(names, series, pairs, left_out, seed=seed, cluster=cluster, same=same)


def _choose(
    runs: Sequence[Sequence[EpisodeResult]], folders: tuple[Path, Path]
) -> tuple[Literal["greedy", "sampled"], list[list[EpisodeResult]]]:
    greedy = [[result for result in results if result.greedy] for results in runs]
    if all(greedy):
        return "greedy", greedy
    sampled = [[result for result in results if not result.greedy] for results in runs]
    if all(sampled):
        return "sampled", sampled
    which = folders[0] if greedy[0] else folders[1]
    raise ConfigError(f"{which} has greedy episodes alone, and the other run drawn ones: they cannot be compared")


def _common(
    chosen: Sequence[Sequence[EpisodeResult]],
    by_task: Sequence[Mapping[str, Any]],
    hashes: Sequence[Mapping[str, str]],
) -> tuple[list[str], list[str]]:
    there = [{result.task_id for result in results} for results in chosen]
    both = there[0] & there[1]
    changed = {task for task in both if hashes[0].get(task, "") != hashes[1].get(task, "") and hashes[0] and hashes[1]}
    lost = {task for task in both - changed if not all(task in found for found in by_task)}
    left_out = []
    if alone := len(there[0] ^ there[1]):
        left_out.append(f"{_count(alone, 'task')} in one run only")
    if changed:
        left_out.append(f"{_count(len(changed), 'task')} whose content differs between the runs")
    if lost:
        left_out.append(f"{_count(len(lost), 'task')} not judged in both, for a failure of the infrastructure")
    return sorted(both - changed - lost), left_out


def _compare(
    names: tuple[str, str],
    series: Literal["greedy", "sampled"],
    pairs: Sequence[Sequence[Sequence[EpisodeResult]]],
    left_out: Sequence[str],
    *,
    seed: int,
    cluster: Cluster,
    same: SameAnswer | None,
) -> Comparison:
    clusters = [found[0].repository if cluster == "repository" else found[0].task_id for found in pairs[0]]
    a, b = ([fraction_solved(found) for found in side] for side in pairs)
    only = [sum(x > 0 and y == 0 for x, y in zip(*sides, strict=True)) for sides in ((a, b), (b, a))]
    single = all(len(found) == 1 for side in pairs for found in side)
    if single and cluster == "task":
        p, test = mcnemar(*only), "McNemar's test, exact"
    else:
        p, test = _by_chance(a, b, clusters, seed), "paired randomisation test"
    solve_rate = _rates_apart("solve rate", a, b, clusters, seed, p)
    return Comparison(
        names=names,
        series=series,
        tasks=len(a),
        solve_rate=solve_rate,
        only_first=only[0],
        only_second=only[1],
        test=test,
        others=(*_of_several(pairs, clusters, seed, same), *_others(pairs, clusters, seed)),
        left_out=tuple(left_out),
        verdict=_verdict(names, solve_rate, len(a), single=single),
    )


def _of_several(
    pairs: Sequence[Sequence[Sequence[EpisodeResult]]], clusters: Sequence[str], seed: int, same: SameAnswer | None
) -> list[Difference]:
    """pass@k, and majority@k where there are answers to vote with: for the largest k that every task has."""
    k = min(len(found) for side in pairs for found in side)
    if k < 2:
        return []
    rates = [[pass_at_k(len(found), sum(bool(r.solved) for r in found), k) for found in side] for side in pairs]
    named = [(f"pass@{k}", rates)]
    if any(result.answer is not None for side in pairs for found in side for result in found):
        named.append((f"majority@{k}", [[vote_of(found, k, seed=seed, same=same) for found in side] for side in pairs]))
    return [_rates_apart(name, a, b, clusters, seed, _by_chance(a, b, clusters, seed)) for name, (a, b) in named]


def _rates_apart(
    name: str, a: Sequence[float], b: Sequence[float], clusters: Sequence[str], seed: int, p: float
) -> Difference:
    change = paired_difference(a, b, clusters, seed)
    return Difference(name=name, first=sum(a) / len(a), second=sum(b) / len(b), change=change, p=p, rate=True)


def _by_chance(a: Sequence[float], b: Sequence[float], clusters: Sequence[str], seed: int) -> float:
    return sign_flip([y - x for x, y in zip(a, b, strict=True)], clusters, seed)


def _others(
    pairs: Sequence[Sequence[Sequence[EpisodeResult]]], clusters: Sequence[str], seed: int
) -> tuple[Difference, ...]:
    found = []
    quantities: dict[str, Callable[[EpisodeResult], float | None]] = {
        "steps": steps_taken,
        "tokens read": lambda result: result.prompt_tokens,
        "tokens written": lambda result: result.completion_tokens,
        "seconds": lambda result: result.seconds,
    }
    for name, quantity in quantities.items():
        means = [[_mean(list(map(quantity, results))) for results in side] for side in pairs]
        kept = [(x, y, c) for x, y, c in zip(*means, clusters, strict=True) if x is not None and y is not None]
        if not kept:
            continue
        a, b, kept_clusters = zip(*kept, strict=True)
        changes = [y - x for x, y, _ in kept]
        found.append(
            Difference(
                name=name,
                first=sum(a) / len(a),
                second=sum(b) / len(b),
                change=bootstrap_mean(changes, kept_clusters, seed),
                p=sign_flip(changes, kept_clusters, seed),
            )
        )
    return tuple(found)


def _verdict(names: tuple[str, str], rate: Difference, tasks: int, *, single: bool) -> str:
    """What is found, and how sure one can be of it."""
    change = rate.second - rate.first
    if abs(change) < 1e-12:
        return f"{names[0]} and {names[1]} solve equally many of {_count(tasks, 'task')}: no difference is shown."
    better = names[1] if change > 0 else names[0]
    if single:
        said = f"{better} solves {round(abs(change) * tasks)} more of {_count(tasks, 'task')}"
    else:
        low, high = sorted((rate.first, rate.second))
        said = f"{better} solves {high:.1%} of the time, the other {low:.1%}, on {_count(tasks, 'task')}"
    reading = "the difference is unlikely to be chance" if rate.p < LEVEL else "the difference could be chance"
    return f"{said}; {p_value(rate.p)}: {reading}."


def p_value(p: float) -> str:
    """As text."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def _names(first: Path, second: Path) -> tuple[str, str]:
    """The folders' names; with as many of the folders above them as tell them apart."""
    parts = [folder.resolve().parts for folder in (first, second)]
    for length in range(1, max(map(len, parts)) + 1):
        one, other = ("/".join(part[-length:]) for part in parts)
        if one != other:
            return one, other
    return f"{one} (A)", f"{other} (B)"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
