"""What an evaluation's results say: rates with intervals, by k and by repository; steps, tokens, cost and endings.

The greedy episode of each task and the drawn ones are two series, never mixed. What failed for no fault of the policy
is in no rate; it is counted.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from srl_swe.evaluation.estimators import best_of_k, equal_answers, majority_at_k, pass_at_k
from srl_swe.evaluation.lines import read_meta
from srl_swe.evaluation.statistics import NO_DATA, Interval, bootstrap_mean, mean_rate
from srl_swe.files import write_atomically
from srl_swe.records import EpisodeResult

SUMMARY = "evaluation.json"
"""The summary beside the results."""

Cluster = Literal["task", "repository"]
"""What an interval resamples: tasks for themselves, or whole repositories, whose tasks may be alike."""
SameAnswer = Callable[[str, str], bool]
"""Whether two answers are the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AtK:
    """A rate where k episodes a task are drawn."""

    k: int
    """How many."""
    rate: Interval
    """Mean over tasks, and its interval."""
    tasks: int
    """Tasks with that many judged episodes; the others are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RepositoryRate:
    """How the tasks of one repository went."""

    repository: str
    """Its name."""
    tasks: int
    """Its tasks with a judged episode."""
    solved_tasks: int
    """Those solved in one episode or more."""
    rate: Interval
    """Mean over its tasks of the fraction of episodes that solved them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One way of answering: greedy, or drawn."""

    tasks: int
    """Tasks with at least one judged episode."""
    episodes: int
    """Episodes with a result."""
    lost: int
    """Those among them that failed for no fault of the policy: in no rate."""
    solved: int
    """Solved episodes."""
    rate: Interval
    """Solve rate: mean over tasks of the fraction of judged episodes that solved it (avg@k)."""
    pass_at: tuple[AtK, ...]
    """At least one of k, unbiased; none for greedy episodes."""
    majority_at: tuple[AtK, ...]
    """A vote of k; only where there are answers to compare."""
    best_by_sum: tuple[AtK, ...]
    """The one of k with the highest sum of log-probabilities; only where the engine gives them."""
    best_by_mean: tuple[AtK, ...]
    """The one of k with the highest log-probability a token."""
    steps: Interval
    """Answers an episode."""
    malformed: int
    """Answers that held no action, in all episodes."""
    seconds: Interval
    """Wall-clock seconds an episode."""
    prompt_tokens: Interval
    """Tokens read in an episode; no data where they were not counted."""
    completion_tokens: Interval
    """Tokens written in an episode."""
    total_prompt_tokens: int
    """Tokens read in all episodes that counted them."""
    total_completion_tokens: int
    """Tokens written in those."""
    cost: float | None
    """What all of them cost; ``None``: no prices are known."""
    endings: dict[str, int]
    """How many episodes ended in each way."""
    repositories: tuple[RepositoryRate, ...]
    """By name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """An evaluation's results."""

    greedy: Series | None
    """Most likely answers; ``None``: there are no such episodes."""
    sampled: Series | None
    """Drawn answers."""

    @property
    def series(self) -> dict[str, Series]:
        """Those that are there, by name."""
        both = {"greedy": self.greedy, "sampled": self.sampled}
        return {name: series for name, series in both.items() if series is not None}


def summarise(
    results: Sequence[EpisodeResult], *, seed: int = 0, cluster: Cluster = "task", same: SameAnswer | None = None
) -> Summary:
    """Sum up the lines of ``results.jsonl``.

    Args:
        results: In any order.
        seed: Of the bootstraps and of drawn subsets.
        cluster: What intervals resample.
        same: Whether two answers are the same, for the vote; ``None``: where they are equal.
    """
    greedy, sampled = ([r for r in results if r.greedy is wanted] for wanted in (True, False))
    return Summary(
        greedy=_series(greedy, seed, cluster, None) if greedy else None,
        sampled=_series(sampled, seed, cluster, same or _equal) if sampled else None,
    )


def write_summary(out: Path, summary: Summary, *, seed: int = 0, cluster: Cluster = "task") -> Path:
    """Write ``evaluation.json`` beside the results, and return its path.

    Raises:
        StorageError: it cannot be written.
    """
    meta = read_meta(out / "meta.json")
    record = {
        "episodes": meta.get("episodes", {}),
        "plan": meta.get("plan", {}),
        "intervals": {"level": 0.95, "seed": seed, "cluster": cluster},
        **{name: jsonable(series) for name, series in summary.series.items()},
    }
    write_atomically(out / SUMMARY, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return out / SUMMARY


def jsonable(value: Any) -> Any:
    """Records as JSON has them: an interval as value, low and high; what is not finite as null."""
    if isinstance(value, Interval):
        return {name: jsonable(number) for name, number in value._asdict().items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(inner) for inner in value]
    return value


def judged_by_task(results: Sequence[EpisodeResult]) -> dict[str, list[EpisodeResult]]:
    """The episodes of each task that could be judged."""
    tasks: dict[str, list[EpisodeResult]] = defaultdict(list)
    for result in results:
        if result.solved is not None:
            tasks[result.task_id].append(result)
    return dict(tasks)


def fraction_solved(results: Sequence[EpisodeResult]) -> float:
    """Of judged episodes."""
    return sum(bool(result.solved) for result in results) / len(results)


def vote_of(results: Sequence[EpisodeResult], k: int, *, seed: int = 0, same: SameAnswer | None = None) -> float:
    """The expected outcome of a vote among k of one task's judged episodes; see `majority_at_k`."""
    return _majority(equal_answers([result.answer for result in results], same or _equal), results, k, seed)


def scores(results: Sequence[EpisodeResult], *, per_token: bool) -> list[float] | None:
    """The engine's own score of each episode; ``None`` where it does not score all of them."""
    found = []
    for result in results:
        if result.logprob is None or (per_token and result.completion_tokens is None):
            return None
        found.append(result.logprob / max(1, result.completion_tokens or 0) if per_token else result.logprob)
    return found


def steps_taken(result: EpisodeResult) -> int | None:
    """Answers in an episode; ``None`` where an external agent has not said."""
    return None if result.exit_code is not None and result.steps == 0 else result.steps


def _series(results: Sequence[EpisodeResult], seed: int, cluster: Cluster, same: SameAnswer | None) -> Series:
    tasks = judged_by_task(results)
    repository = {task_id: found[0].repository for task_id, found in tasks.items()}

    def rate(values: Mapping[str, float]) -> Interval:
        clusters = [repository[task_id] for task_id in values] if cluster == "repository" else None
        return mean_rate(list(values.values()), clusters, seed)

    at: _ByK = _ByK(tasks, rate, drawn=same is not None)
    votes = _votes(tasks, same) if same is not None else {}
    return Series(
        tasks=len(tasks),
        episodes=len(results),
        lost=sum(result.solved is None for result in results),
        solved=sum(bool(result.solved) for result in results),
        rate=rate({task_id: fraction_solved(found) for task_id, found in tasks.items()}),
        pass_at=at.each(lambda found, k: pass_at_k(len(found), sum(map(_solved, found)), k)),
        majority_at=at.each(lambda found, k: _majority(votes[found[0].task_id], found, k, seed)) if votes else (),
        best_by_sum=at.each(lambda found, k: _best(found, k, per_token=False)),
        best_by_mean=at.each(lambda found, k: _best(found, k, per_token=True)),
        steps=_mean(results, steps_taken, seed),
        malformed=sum(result.malformed for result in results),
        seconds=_mean(results, lambda r: r.seconds, seed),
        prompt_tokens=_mean(results, lambda r: r.prompt_tokens, seed),
        completion_tokens=_mean(results, lambda r: r.completion_tokens, seed),
        total_prompt_tokens=sum(result.prompt_tokens or 0 for result in results),
        total_completion_tokens=sum(result.completion_tokens or 0 for result in results),
        cost=_cost(results),
        endings=dict(sorted(Counter(str(result.ending) for result in results).items())),
        repositories=_repositories(tasks, seed),
    )


class _ByK:
    """Rates for k = 1, 2, 4 … and for all that there are."""

    def __init__(
        self,
        tasks: Mapping[str, Sequence[EpisodeResult]],
        rate: Callable[[Mapping[str, float]], Interval],
        *,
        drawn: bool,
    ) -> None:
        self._tasks, self._rate = tasks, rate
        most = max(map(len, tasks.values()), default=0)
        powers = [2**i for i in range(most.bit_length()) if 2**i < most]
        self._ks = [*powers, most] if drawn and most > 1 else []

    def each(self, estimate: Callable[[Sequence[EpisodeResult], int], float | None]) -> tuple[AtK, ...]:
        """The mean over tasks of an estimate, for each k; tasks where it is ``None`` are left out."""
        rows = []
        for k in self._ks:
            estimates = {name: estimate(found, k) for name, found in self._tasks.items() if len(found) >= k}
            values = {name: value for name, value in estimates.items() if value is not None}
            if values:
                rows.append(AtK(k=k, rate=self._rate(values), tasks=len(values)))
        return tuple(rows)


def _majority(votes: Sequence[int | None], found: Sequence[EpisodeResult], k: int, seed: int) -> float:
    return majority_at_k(votes, [_solved(result) for result in found], k, seed)


def _votes(tasks: Mapping[str, Sequence[EpisodeResult]], same: SameAnswer) -> dict[str, list[int | None]]:
    """The vote of each episode, by task; empty where no episode has an answer to vote with."""
    answers = {task_id: [result.answer for result in found] for task_id, found in tasks.items()}
    if not any(answer is not None for found in answers.values() for answer in found):
        return {}
    return {task_id: equal_answers(found, same) for task_id, found in answers.items()}


def _best(found: Sequence[EpisodeResult], k: int, *, per_token: bool) -> float | None:
    values = scores(found, per_token=per_token)
    return None if values is None else best_of_k(values, [_solved(result) for result in found], k)


def _mean(results: Sequence[EpisodeResult], of: Callable[[EpisodeResult], float | None], seed: int) -> Interval:
    """Of judged episodes, whole tasks resampled."""
    pairs = [(value, r.task_id) for r in results if r.solved is not None and (value := of(r)) is not None]
    if not pairs:
        return NO_DATA
    return bootstrap_mean([value for value, _ in pairs], [task_id for _, task_id in pairs], seed)


def _cost(results: Sequence[EpisodeResult]) -> float | None:
    costs = [result.cost for result in results if result.cost is not None]
    return math.fsum(costs) if costs else None


def _repositories(tasks: Mapping[str, Sequence[EpisodeResult]], seed: int) -> tuple[RepositoryRate, ...]:
    groups: dict[str, list[Sequence[EpisodeResult]]] = defaultdict(list)
    for found in tasks.values():
        groups[found[0].repository].append(found)
    return tuple(
        RepositoryRate(
            repository=name,
            tasks=len(group),
            solved_tasks=sum(any(map(_solved, found)) for found in group),
            rate=mean_rate([fraction_solved(found) for found in group], None, seed),
        )
        for name, group in sorted(groups.items())
    )


def _solved(result: EpisodeResult) -> bool:
    return bool(result.solved)


def _equal(one: str, other: str) -> bool:
    return one == other
