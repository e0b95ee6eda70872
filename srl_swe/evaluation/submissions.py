"""An evaluation's patches in SWE-bench's form, one a task, so that others can grade them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from srl_swe.errors import ConfigError
from srl_swe.evaluation.summary import scores
from srl_swe.records import EpisodeResult
from srl_swe.tasks.formats.predictions import Prediction


def choose_episodes(results: Sequence[EpisodeResult], which: str = "") -> list[EpisodeResult]:
    """One episode of each task.

    Args:
        results: Of an evaluation.
        which: ``greedy``; ``best``, by the log-probability a token; a sample's number; empty: the greedy one, or sample
            0 where no episode is greedy.

    Raises:
        ConfigError: there are no such episodes, or the engine gave no log-probabilities.
    """
    which = which or ("greedy" if any(result.greedy for result in results) else "0")
    if which == "best":
        return _best([result for result in results if not result.greedy])
    if which != "greedy" and not which.isdecimal():
        raise ConfigError(f"--choose: expected greedy, best or a sample's number, not {which!r}")
    chosen = [r for r in results if (r.greedy if which == "greedy" else not r.greedy and r.sample == int(which))]
    if not chosen:
        raise ConfigError(f"--choose {which}: the run has no such episode")
    return chosen


def submissions(results: Sequence[EpisodeResult]) -> list[Prediction]:
    """The patches of judged episodes, one a task, under the ids that ``srl-swe tasks export`` writes.

    An id is the part of the task's after the slash; the whole of it where two suites have the same one.
    """
    short = Counter(result.task_id.rpartition("/")[2] for result in results)
    return [
        Prediction(
            instance_id=name if short[name := result.task_id.rpartition("/")[2]] == 1 else result.task_id,
            model=result.policy,
            patch=result.patch,
        )
        for result in sorted(results, key=lambda result: result.task_id)
        if result.solved is not None
    ]


def _best(drawn: Sequence[EpisodeResult]) -> list[EpisodeResult]:
    tasks: dict[str, list[EpisodeResult]] = defaultdict(list)
    for result in drawn:
        if result.solved is not None:
            tasks[result.task_id].append(result)
    chosen = []
    for task_id, found in tasks.items():
        values = scores(found, per_token=True)
        if values is None:
            raise ConfigError(f"--choose best: {task_id} has episodes without log-probabilities")
        chosen.append(found[max(range(len(found)), key=values.__getitem__)])
    if not chosen:
        raise ConfigError("--choose best: the run has no drawn episodes")
    return chosen
