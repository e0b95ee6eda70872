"""What several drawn episodes a task add to the overview: pass@k, and paired verdicts."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from srl_swe.errors import ConfigError
from srl_swe.evaluation.comparison import compare_runs
from srl_swe.evaluation.estimators import pass_at_k
from srl_swe.evaluation.site.numbers import ArmNumbers
from srl_swe.evaluation.site.runs import EpisodeLine, Evaluation
from srl_swe.evaluation.statistics import Interval, mean_rate


@dataclass(frozen=True, kw_only=True, slots=True)
class PassRates:
    """pass@k of one arm."""

    name: str
    """The arm."""
    rates: dict[int, Interval]
    """By k; mean over tasks (and seeds) with that many judged drawn episodes."""


def pass_rates(arms: Sequence[ArmNumbers]) -> list[PassRates]:
    """Of the arms that have several drawn episodes a task; k is a power of two, or all that there are."""
    found = []
    for arm in arms:
        counts = [count for member in arm.members or (arm,) for count in _counts(member.episodes)]
        most = max((n for _, n, _ in counts), default=0)
        ks = sorted({most, *(2**i for i in range(most.bit_length()) if 2**i <= most)})
        if most > 1:
            found.append(PassRates(name=arm.name, rates={k: _rate(counts, k) for k in ks}))
    return found


def paired_verdicts(evaluations: Sequence[Evaluation]) -> list[str]:
    """What ``srl-swe results compare`` says of each evaluation with several drawn episodes, against the first of them.

    Arms of several seeds are left out: of one seed each, a verdict would say nothing of the others.
    """
    arms = [evaluation.arm for evaluation in evaluations]
    several = [e for e in evaluations if arms.count(e.arm) == 1 and any(n > 1 for _, n, _ in _counts(e.episodes))]
    said = []
    for later in several[1:]:
        # Lines of another version, or no task in common: the page has its other numbers all the same.
        with contextlib.suppress(ConfigError):
            found = compare_runs(several[0].folder, later.folder)
            said.append(
                f"{several[0].label} and {later.label}, pair by pair ({found.series} episodes): {found.verdict}"
            )
    return said


def _counts(episodes: Sequence[EpisodeLine]) -> list[tuple[str, int, int]]:
    """Of each task: its id, how many drawn episodes were judged, and how many of them solved it."""
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for episode in episodes:
        if episode.solved is not None and not episode.greedy:
            outcomes[episode.task_id].append(episode.solved)
    return [(task, len(found), sum(found)) for task, found in outcomes.items()]


def _rate(counts: Sequence[tuple[str, int, int]], k: int) -> Interval:
    kept = [(task, pass_at_k(n, correct, k)) for task, n, correct in counts if n >= k]
    tasks = [task for task, _ in kept]
    return mean_rate([rate for _, rate in kept], tasks if len(set(tasks)) < len(tasks) else None)
