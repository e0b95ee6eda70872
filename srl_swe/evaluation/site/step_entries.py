"""Held-out steps to browse: every evaluation's answers beside the expert's action, from ``steps.jsonl``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srl_swe.evaluation.site.charts import minus
from srl_swe.evaluation.site.data_files import Collection
from srl_swe.evaluation.site.entries import Entry, Part, Row, Tone, marked_part
from srl_swe.evaluation.site.markers import ThoughtTally, thought_of
from srl_swe.evaluation.site.runs import Evaluation, as_number
from srl_swe.evaluation.site.text import first_line
from srl_swe.evaluation.steps import mean_similarity

_SHOWN_SAMPLES = 8
ORDERS = ("by task and step", "largest gain first", "largest loss first", "highest similarity first")


def write_steps(evaluations: Sequence[Evaluation], out: Path, tallies: dict[str, ThoughtTally]) -> Collection:
    """Write the page's data, and count the thoughts of each arm into ``tallies``."""
    collection = Collection(out, "steps", filters=("Task", "Change", "Form"), orders=ORDERS)
    steps: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for evaluation in evaluations:
        for record in evaluation.steps:
            steps.setdefault(str(record["instance_id"]), []).append((evaluation.label, record))
            tally = tallies.setdefault(evaluation.arm, ThoughtTally())
            for sample in record["samples"]:
                text = str(sample.get("text", ""))
                tally.add(thought_of(text), record["task_id"], length=len(text))
    ordered = sorted(steps.items(), key=lambda item: (str(item[1][0][1]["task_id"]), _number(item[1][0][1]), item[0]))
    for instance_id, answers in ordered:
        answered = [(label, record) for label, record in answers if record["samples"]]
        if answered:
            collection.add(_row(answered), _entry(instance_id, answered))
    collection.close()
    return collection


def _row(answers: Sequence[tuple[str, dict[str, Any]]]) -> Row:
    first = answers[0][1]
    means = [mean_similarity(record) for _, record in answers]
    change = means[-1] - means[0] if len(means) > 1 else 0.0
    words = "only one evaluation" if len(means) == 1 else "rose" if change > 0 else "fell" if change < 0 else "the same"
    samples = [sample for _, record in answers for sample in record["samples"]]
    formed = sum(bool(sample.get("well_formed")) for sample in samples)
    form = "all well-formed" if formed == len(samples) else "some malformed" if formed else "all malformed"
    shown = minus(f"{means[-1]:.2f}" if len(means) == 1 else f"{means[0]:.2f} → {means[-1]:.2f}")
    tone: Tone = "good" if change > 0 else "bad" if change < 0 else "plain"
    return Row(
        title=f"{first['task_id']}, step\u00a0{_number(first) + 1}",
        detail=first_line(str(first["expert_action"])),
        badge=shown,
        tone=tone,
        facets=(str(first["task_id"]), words, form),
        sorts=(change, -change, means[-1]),
    )


def _entry(instance_id: str, answers: Sequence[tuple[str, dict[str, Any]]]) -> Entry:
    first = answers[0][1]
    facts = (
        ("Step instance", instance_id),
        ("Evaluations", ", ".join(f"{label} {mean_similarity(record):.3f}" for label, record in answers)),
    )
    context = str(first.get("context", ""))
    parts = tuple(part for label, record in answers for part in _parts(label, record))
    return Entry(
        title=f"{first['task_id']}, step {_number(first) + 1}",
        facts=facts,
        texts=(("What the student saw last", context),),
        parts=parts,
    )


def _parts(label: str, record: dict[str, Any]) -> list[Part]:
    """The most likely answer and the samples; the first of them open."""
    greedy = [("most likely answer", record["greedy"])] if isinstance(record.get("greedy"), dict) else []
    count = len(record["samples"])
    drawn = [(f"sample {k} of {count}", sample) for k, sample in enumerate(record["samples"], start=1)]
    return [
        marked_part(
            f"{label}: {name}",
            str(sample.get("text", "")),
            str(record["expert_action"]),
            well_formed=sample.get("well_formed") is True,
            scores=_scores(sample),
            folded=number > 0,
        )
        for number, (name, sample) in enumerate([*greedy, *drawn][:_SHOWN_SAMPLES])
    ]


def _scores(sample: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    found = ((name, as_number(sample.get(name))) for name in ("reward", "similarity"))
    return tuple((name, value) for name, value in found if value is not None)


def _number(record: dict[str, Any]) -> int:
    return int(as_number(record.get("step")) or 0)
