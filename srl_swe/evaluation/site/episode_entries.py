"""Episodes to browse: what was thought, done and seen in each, from ``transcripts.jsonl``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_swe.evaluation.site.data_files import Collection
from srl_swe.evaluation.site.entries import Entry, Part, Row, Tone
from srl_swe.evaluation.site.markers import ThoughtTally
from srl_swe.evaluation.site.runs import TRANSCRIPTS, Evaluation, as_number
from srl_swe.files import iter_lines

_OUTCOMES: dict[bool | None, tuple[str, Tone]] = {
    True: ("solved", "good"),
    False: ("not solved", "bad"),
    None: ("not judged", "warn"),
}


def outcome(solved: object) -> tuple[str, Tone]:
    """An outcome in words, and its colour."""
    return _OUTCOMES[solved if isinstance(solved, bool) else None]


def write_episodes(evaluations: Sequence[Evaluation], out: Path, tallies: dict[str, ThoughtTally]) -> Collection:
    """Write the page's data, and count the thoughts of each arm into ``tallies``."""
    filters = ("Run", "Outcome", "Ending", "Repository", "Task")
    collection = Collection(out, "episodes", filters=filters, orders=("as they were run", "most steps first"))
    for evaluation in evaluations:
        for record in iter_lines(evaluation.folder / TRANSCRIPTS):
            steps = record.get("transcript")
            if not isinstance(steps, list):
                continue
            steps = [step for step in steps if isinstance(step, dict)]
            tally = tallies.setdefault(evaluation.arm, ThoughtTally())
            for step in steps:
                tally.add(
                    str(step.get("thought") or ""), str(record.get("task_id")), length=len(str(step.get("answer", "")))
                )
            collection.add(_row(evaluation, record, len(steps)), _entry(evaluation, record, steps))
    collection.close()
    return collection


def _row(evaluation: Evaluation, record: dict[str, Any], steps: int) -> Row:
    word, tone = outcome(record.get("solved"))
    task, ending = str(record.get("task_id")), _ending(record)
    return Row(
        title=task,
        detail=f"{evaluation.label}{_sample(record)} · {steps} steps · {ending}",
        badge=word,
        tone=tone,
        facets=(evaluation.label, word, ending, str(record.get("repository", "")), task),
        sorts=(float(steps),),
    )


def _entry(evaluation: Evaluation, record: dict[str, Any], steps: Sequence[dict[str, Any]]) -> Entry:
    tampering = record.get("tampering")
    notes = [str(record["error"])] if record.get("error") else []
    notes += [f"tampering: {what}" for what in tampering] if isinstance(tampering, list) else []
    tests = record.get("tests")
    texts = [("Problem", str(record.get("problem", "")))]
    if isinstance(tests, dict) and tests:
        texts.append(("Hidden tests", "\n".join(f"{result}  {name}" for name, result in tests.items())))
    seconds, tokens = as_number(record.get("seconds")), as_number(record.get("completion_tokens"))
    facts = (
        ("Run", evaluation.label + _sample(record)),
        ("Outcome", outcome(record.get("solved"))[0]),
        ("Ended by", _ending(record)),
        ("Policy", str(record.get("policy", ""))),
        ("Steps", f"{len(steps)}, {int(as_number(record.get('malformed')) or 0)} of them malformed"),
        ("Seconds", f"{seconds:.1f}" if seconds else ""),
        ("Tokens written", f"{tokens:,.0f}" if tokens is not None else ""),
    )
    parts = tuple(_part(number, step) for number, step in enumerate(steps, start=1))
    return Entry(title=str(record.get("task_id")), facts=facts, notes=tuple(notes), texts=tuple(texts), parts=parts)


def _part(number: int, step: dict[str, Any]) -> Part:
    action = step.get("action")
    malformed = action is None
    reward = as_number(step.get("reward"))
    return Part(
        title=f"Step {number}",
        tags=(("malformed", "bad"),) if malformed else (),
        scores=(("reward", reward),) if reward is not None else (),
        thought=str(step.get("thought") or ""),
        action=str(step.get("answer", "") if malformed else action),
        action_name="The whole answer" if malformed else "Action",
        observation=str(step.get("observation") or ""),
    )


def _ending(record: dict[str, Any]) -> str:
    return str(record.get("ending", "unknown")).replace("_", " ")


def _sample(record: dict[str, Any]) -> str:
    if record.get("greedy") is True:
        return ", most likely answers"
    sample = as_number(record.get("sample"))
    return f", sample {sample + 1:.0f}" if sample else ""
