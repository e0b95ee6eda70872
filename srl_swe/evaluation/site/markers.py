"""What is said in thoughts: how long they are, and the phrases that show planning, checking and revising.

The phrases are counted as they stand in `PHRASES`, whatever the case, at the borders of words, none inside another
that is longer and of the same kind. They are a rough measure: a phrase says nothing about whether the plan was kept.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from srl_swe.evaluation.statistics import NO_DATA, Interval, bootstrap_mean

PHRASES: dict[str, tuple[str, ...]] = {
    "planning": (
        "first,", "first i", "first of all", "then i", "next,", "next i", "after that,", "finally,", "my plan",
        "the plan", "step by step", "i will", "i'll", "i need to", "i should", "i have to", "i want to", "let me",
        "let us", "let's", "to start", "start by", "begin by", "before i", "before changing", "the next step",
    ),
    "checking": (
        "check", "double-check", "double check", "verify", "confirm", "make sure", "run the tests", "run the test",
        "see if", "see whether", "whether it", "as expected", "reproduce", "validate", "look again", "test it",
        "it works", "still fails", "still passes", "does it pass",
    ),
    "revising": (
        "wait,", "wait.", "wait:", "actually", "instead", "however", "on second thought", "that is wrong",
        "that's wrong", "not right", "i was wrong", "mistake", "my mistake", "oops", "hmm", "try again",
        "try another", "another way", "undo", "revert", "go back", "that did not work", "that didn't work",
        "did not help", "rather than", "reconsider",
    ),
}  # fmt: skip
"""By kind. The report shows this list."""

KINDS = tuple(PHRASES)
_THOUGHT = re.compile(r"<think>(.*?)(?:</think>|\Z)", re.DOTALL)
_PATTERNS = {
    kind: re.compile(
        r"(?<!\w)(?:" + "|".join(re.escape(p) for p in sorted(phrases, key=len, reverse=True)) + r")(?!\w)"
    )
    for kind, phrases in PHRASES.items()
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Thinking:
    """What a set of answers thinks aloud."""

    answers: int
    """Answers looked at."""
    words: Interval
    """Words of a thought; an answer without one counts as 0."""
    markers: dict[str, Interval]
    """By kind: phrases an answer."""
    per_hundred: dict[str, float]
    """By kind: phrases in a hundred words of thought; not-a-number where nobody thought."""
    length: Interval
    """Characters of a whole answer, thought and action."""


@dataclass(kw_only=True, slots=True)
class ThoughtTally:
    """Collects thoughts, and sums them up."""

    words: list[int] = field(default_factory=list)
    """Of each."""
    counts: dict[str, list[int]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    """By kind: phrases of each."""
    lengths: list[int] = field(default_factory=list)
    """Characters of each whole answer."""
    clusters: list[Hashable] = field(default_factory=list)
    """What each belongs to: a task, or a group of rollouts."""

    def add(self, thought: str, cluster: Hashable, *, length: int = 0) -> None:
        """Count the thought of one answer, empty where there is none."""
        self.lengths.append(length)
        self.words.append(len(thought.split()))
        for kind, number in count_markers(thought).items():
            self.counts[kind].append(number)
        self.clusters.append(cluster)

    def summary(self, *, resamples: int = 10_000) -> Thinking:
        """Means, with intervals that resample whole clusters."""
        total = sum(self.words)

        def mean(values: Sequence[float]) -> Interval:
            return bootstrap_mean(values, self.clusters, resamples=resamples) if values else NO_DATA

        return Thinking(
            answers=len(self.words),
            words=mean(self.words),
            length=mean(self.lengths),
            markers={kind: mean(values) for kind, values in self.counts.items()},
            per_hundred={k: 100 * sum(v) / total if total else float("nan") for k, v in self.counts.items()},
        )


def count_markers(thought: str) -> dict[str, int]:
    """How often a phrase of each kind stands in a thought."""
    lowered = thought.lower().replace("’", "'")
    return {kind: len(pattern.findall(lowered)) for kind, pattern in _PATTERNS.items()}


def thought_of(text: str) -> str:
    """The thought in an answer, well-formed or not: between ``<think>`` and ``</think>``, or to the end."""
    found = _THOUGHT.search(text)
    return found[1].strip() if found else ""
