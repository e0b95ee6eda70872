"""Rollouts to browse, by update and group, from ``rollouts.jsonl``; and what they say of each update in numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srl_swe.evaluation.site.charts import minus
from srl_swe.evaluation.site.data_files import Collection
from srl_swe.evaluation.site.entries import Entry, Part, Row, marked_part, read_answer
from srl_swe.evaluation.site.markers import Thinking, ThoughtTally, thought_of
from srl_swe.evaluation.site.runs import Training, as_number
from srl_swe.evaluation.site.text import first_line
from srl_swe.evaluation.statistics import Interval, bootstrap_mean
from srl_swe.files import iter_lines

_RESAMPLES = 1_000
_VARIES = 1e-6


@dataclass(kw_only=True, slots=True)
class UpdateNumbers:
    """What one update's rollouts say."""

    reward: Interval
    """Mean reward, whole groups resampled."""
    tokens: Interval
    """Mean length of an answer."""
    thinking: Thinking
    """Their thoughts."""


@dataclass(kw_only=True, slots=True)
class RolloutNumbers:
    """By run's label and update."""

    updates: dict[str, dict[int, UpdateNumbers]] = field(default_factory=dict)
    """Filled by `write_rollouts`."""

    def intervals(self) -> dict[str, dict[str, dict[int, Interval]]]:
        """By run, metric and update, for `curves.curve_groups`."""
        return {
            label: {
                "reward_mean": {u: n.reward for u, n in updates.items()},
                "response_tokens": {u: n.tokens for u, n in updates.items()},
            }
            for label, updates in self.updates.items()
        }


def write_rollouts(
    trainings: Sequence[Training], out: Path, actions: Mapping[str, str], *, most: int
) -> tuple[Collection, RolloutNumbers]:
    """Write the page's data, one update in memory at a time.

    Args:
        trainings: The runs.
        out: The site's folder.
        actions: The expert's action of each step instance that is known.
        most: Groups that are shown; the numbers are of all.
    """
    orders = ("by update", "highest reward first", "widest spread first")
    collection = Collection(out, "rollouts", filters=("Run", "Update", "Signal", "Task"), orders=orders, most=most)
    numbers = RolloutNumbers()
    for training in trainings:
        updates = numbers.updates.setdefault(training.label, {})
        for update, rollouts in _by_update(training.rollouts):
            updates[update] = _update_numbers(rollouts)
            for group, answers in itertools.groupby(rollouts, key=lambda r: r.get("group")):
                if collection.full:
                    collection.left_out += 1
                else:
                    _add(collection, training.label, update, group, list(answers), actions)
    collection.close()
    return collection, numbers


def _by_update(path: Path) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    lines = (record for record in iter_lines(path) if as_number(record.get("update")) is not None)
    for update, rollouts in itertools.groupby(lines, key=lambda record: int(record["update"])):
        yield update, list(rollouts)


def _update_numbers(rollouts: Sequence[dict[str, Any]]) -> UpdateNumbers:
    tally = ThoughtTally()
    for rollout in rollouts:
        text = str(rollout.get("text", ""))
        tally.add(thought_of(text), str(rollout.get("group")), length=len(text))
    return UpdateNumbers(
        reward=_mean(rollouts, "reward"), tokens=_mean(rollouts, "tokens"), thinking=tally.summary(resamples=_RESAMPLES)
    )


def _mean(rollouts: Sequence[dict[str, Any]], key: str) -> Interval:
    known = [(value, str(r.get("group"))) for r in rollouts if (value := as_number(r.get(key))) is not None]
    return bootstrap_mean([v for v, _ in known], [g for _, g in known], resamples=_RESAMPLES)


def _add(
    collection: Collection,
    label: str,
    update: int,
    group: object,
    answers: list[dict[str, Any]],
    actions: Mapping[str, str],
) -> None:
    rewards = [value for a in answers if (value := as_number(a.get("reward"))) is not None]
    mean = sum(rewards) / len(rewards) if rewards else 0.0
    spread = max(rewards) - min(rewards) if rewards else 0.0
    instance = str(answers[0].get("instance_id", ""))
    expert = actions.get(instance)
    signal = "rewards vary" if spread > _VARIES else "all the same"
    task, _, step = instance.partition("@")[0], *instance.partition("#")[1:]
    title = f"{task or instance}, step\u00a0{int(step) + 1}" if step.isdigit() else instance or f"group {group}"
    collection.add(
        Row(
            title=title,
            detail=f"{label} · update {update} · {len(answers)} answers · {first_line(expert or '', 60)}".rstrip(" ·"),
            badge=minus(f"{mean:.2f}") if rewards else "unscored",
            tone="plain" if spread > _VARIES else "warn",
            facets=(label, str(update), signal, task or instance),
            sorts=(mean, spread),
        ),
        Entry(
            title=f"{title}, update {update}",
            facts=(
                ("Run", label),
                ("Step instance", instance),
                (
                    "Rewards",
                    minus(f"mean {mean:.3f}, from {min(rewards):.3f} to {max(rewards):.3f}") if rewards else "none",
                ),
                ("Signal", signal if rewards else ""),
            ),
            parts=tuple(_part(k, answer, expert) for k, answer in enumerate(answers, start=1)),
        ),
    )


def _part(number: int, answer: dict[str, Any], expert: str | None) -> Part:
    text, parts = str(answer.get("text", "")), answer.get("parts")
    named = [("reward", answer.get("reward")), *(parts.items() if isinstance(parts, dict) else ())]
    scores = tuple((str(name), value) for name, v in named if (value := as_number(v)) is not None)
    title = f"Answer {number}"
    details = [
        f"{answer[key]} {word}" for key, word in (("tokens", "tokens"),) if as_number(answer.get(key)) is not None
    ]
    if (ending := answer.get("ending")) and ending not in ("submitted", "malformed"):  # what those say is said anyhow
        details.append(str(ending).replace("_", " "))
    tags = tuple((detail, "plain") for detail in details)
    folded = number > 2
    formed = isinstance(parts, dict) and as_number(parts.get("well_formed")) == 1.0
    if expert is not None:
        return marked_part(title, text, expert, well_formed=formed, tags=tags, scores=scores, folded=folded)  # type: ignore[arg-type]
    thought, action, problem = read_answer(text, well_formed=formed)
    if problem is not None:
        tags = (*tags, (f"malformed: {problem}", "bad"))
    return Part(
        title=title,
        tags=tags,  # type: ignore[arg-type]
        scores=scores,
        thought=thought,
        action=action,
        action_name="Action" if problem is None else "The whole answer",
        folded=folded,
    )
