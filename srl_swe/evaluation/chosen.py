"""Steps chosen for the report: the student's action against the expert's, with the blocks that made the reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from srl_swe.environments.answers import read_answer
from srl_swe.errors import MalformedActionError
from srl_swe.evaluation.steps import mean_similarity
from srl_swe.records import Domain
from srl_swe.rewards.similarity import matching_blocks

SHOWN_CHARS = 3_000
"""Longest action shown; the rest is left out, and said to be."""

GAINS = LOSSES = 8
OTHERS = 24

RULE = (
    f"The {GAINS} steps whose mean similarity rose most between the last two evaluations, the {LOSSES} where it fell"
    f" most, and up to {OTHERS} others at even distances."
)
"""How steps are chosen, in words for the page."""


class Segment(NamedTuple):
    """A run of characters."""

    text: str
    """The characters."""
    matches: bool
    """Whether the similarity counts them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One answer beside the expert's action."""

    similarity: float
    """As scored; 0 where malformed."""
    well_formed: bool
    """Whether it held exactly one action."""
    note: str
    """Why it is malformed; empty where it is not."""
    student: tuple[Segment, ...]
    """The student's action, or its whole text where malformed."""
    expert: tuple[Segment, ...]
    """The expert's action."""
    thought: str
    """What the student thought."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseAnswers:
    """A step's answers in one phase."""

    phase: str
    """before, warm, after …"""
    kind: str
    """Whether the first answer is the greedy one or the first sample."""
    first: Answer
    """The one shown."""
    others: tuple[Answer, ...]
    """The samples behind the mean."""
    mean: float
    """Mean similarity of the samples."""
    well_formed: int
    """Well-formed samples."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenStep:
    """A step instance with its answers in every phase."""

    instance_id: str
    """Where it comes from."""
    task_id: str
    """The task."""
    step: int
    """Counted from 0."""
    context: str
    """The last message that the student saw."""
    expert_action: str
    """The expert's action."""
    change: float | None
    """Mean similarity of the last phase less that of the one before; ``None`` with one phase."""
    phases: tuple[PhaseAnswers, ...]
    """In order."""


def choose(steps: Mapping[str, Sequence[dict[str, Any]]]) -> list[ChosenStep]:
    """Choose by `RULE` from each phase's lines of ``steps.jsonl``; those with most change first."""
    phases = [phase for phase, records in steps.items() if records]
    if not phases:
        return []
    by_phase = {phase: {r["instance_id"]: r for r in steps[phase] if r["samples"]} for phase in phases}
    last = by_phase[phases[-1]]
    changes: dict[str, float] = {}
    if len(phases) > 1:
        earlier = by_phase[phases[-2]]
        changes = {i: mean_similarity(last[i]) - mean_similarity(earlier[i]) for i in last if i in earlier}
    ranked = sorted(changes, key=lambda i: changes[i])
    gains = [i for i in reversed(ranked[-GAINS:]) if changes[i] > 0]
    losses = [i for i in ranked[:LOSSES] if changes[i] < 0]
    rest = [i for i in last if i not in {*gains, *losses}]
    stride = max(1, -(-len(rest) // OTHERS))
    ids = [*gains, *losses, *rest[::stride]]
    answers = {i: {phase: by_phase[phase][i] for phase in phases if i in by_phase[phase]} for i in ids}
    return [_step(i, answers[i], changes.get(i)) for i in ids]


def mark(student: str, expert: str) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Both strings, cut where the blocks that the similarity counts begin and end."""
    blocks = matching_blocks(student, expert)
    return (
        _segments(student, [(b.a_start, b.size) for b in blocks]),
        _segments(expert, [(b.b_start, b.size) for b in blocks]),
    )


def _segments(text: str, spans: Sequence[tuple[int, int]]) -> tuple[Segment, ...]:
    segments, position = [], 0
    for start, size in spans:
        segments += [Segment(text[position:start], False), Segment(text[start : start + size], True)]
        position = start + size
    segments.append(Segment(text[position:], False))
    return tuple(segment for segment in segments if segment.text)


def _step(instance_id: str, records: Mapping[str, dict[str, Any]], change: float | None) -> ChosenStep:
    record = next(iter(records.values()))
    return ChosenStep(
        instance_id=instance_id,
        task_id=record["task_id"],
        step=int(record.get("step", 0)),
        context=str(record.get("context", "")),
        expert_action=record["expert_action"],
        change=change,
        phases=tuple(_phase(phase, r) for phase, r in records.items()),
    )


def _phase(phase: str, record: dict[str, Any]) -> PhaseAnswers:
    expert, samples, domain = record["expert_action"], record["samples"], record.get("domain", "repository")
    shown = record.get("greedy") or samples[0]
    return PhaseAnswers(
        phase=phase,
        kind="most likely answer" if record.get("greedy") else "first sample",
        first=_answer(shown, expert, domain),
        others=tuple(_answer(sample, expert, domain) for sample in samples),
        mean=mean_similarity(record),
        well_formed=sum(bool(sample["well_formed"]) for sample in samples),
    )


def _answer(sample: Mapping[str, Any], expert_action: str, domain: Domain) -> Answer:
    thought, action, note = "", str(sample["text"]), ""
    try:
        thought, action = read_answer(sample["text"], domain=domain)
        action = action.strip()  # what is scored is the stripped action
    except MalformedActionError as error:
        note = str(error)
    expert = expert_action.strip()
    student_marked: tuple[Segment, ...]
    expert_marked: tuple[Segment, ...]
    if note:
        student_marked, expert_marked = (Segment(_cut(action), False),), (Segment(_cut(expert), False),)
    else:
        student_marked, expert_marked = mark(_cut(action), _cut(expert))
    return Answer(
        similarity=float(sample["similarity"]),
        well_formed=bool(sample["well_formed"]),
        note=note,
        student=student_marked,
        expert=expert_marked,
        thought=thought,
    )


def _cut(text: str) -> str:
    if len(text) <= SHOWN_CHARS:
        return text
    return f"{text[:SHOWN_CHARS]}\n… {len(text) - SHOWN_CHARS} characters left out"
