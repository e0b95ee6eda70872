"""How close a model's single steps come to the expert's, on trajectories it was not trained on.

This moves long before the solve rate does. ``OUT/steps.jsonl`` holds one line a step instance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from srl_swe.environments.scoring import score_action
from srl_swe.errors import ConfigError
from srl_swe.evaluation.lines import check_meta, keep_lines
from srl_swe.evaluation.statistics import Interval, bootstrap_mean
from srl_swe.files import append_line, read_lines
from srl_swe.records import Message, StepInstance

STEPS = "steps.jsonl"
CONTEXT_CHARS = 2_000

Generate = Callable[[Sequence[tuple[Message, ...]], int], list[list[str]]]
"""``generate(conversations, n)``: n answer texts for each conversation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepSummary:
    """Means over step instances, each with a 95% bootstrap interval that resamples whole tasks."""

    instances: int
    """Step instances."""
    samples: int
    """Sampled answers in all."""
    similarity: Interval
    """Similarity to the expert's action, a malformed answer counted as 0."""
    reward: Interval
    """The training reward: similarity, -1 for a malformed answer."""
    well_formed: Interval
    """Fraction of answers that hold exactly one action."""
    greedy_similarity: Interval
    """Similarity of the most likely answer; no data where it was not asked for."""


def evaluate_steps(
    generate: Generate,
    instances: Sequence[StepInstance],
    out: Path,
    *,
    name: str,
    samples: int = 4,
    greedy: Generate | None = None,
    batch: int = 8,
    autojunk: bool = False,
    console: Console | None = None,
) -> StepSummary:
    """Answer every step instance, or those still missing in ``out``, and score the answers.

    Args:
        generate: Draws ``samples`` answers at temperature 1.
        instances: Steps of held-out trajectories.
        out: Folder of ``steps.jsonl``.
        name: The model's name, for ``meta.json``.
        samples: Answers a step.
        greedy: Gives the most likely answer, called with n = 1.
        batch: Step instances a call.
        autojunk: difflib's heuristic; see `srl_swe.rewards.similarity.similarity`.
        console: Where the progress bar goes; ``None``: nowhere.

    Raises:
        ConfigError: ``out`` holds results of something else, or there is nothing to answer.
        StorageError: ``out`` cannot be written.
    """
    if not instances or samples < 1 or batch < 1:
        raise ConfigError("step evaluation needs at least one step instance, one sample and a batch of one")
    check_meta(
        out / "meta.json",
        "steps",
        {
            "model": name,
            "samples": samples,
            "greedy": greedy is not None,
            "autojunk": autojunk,
            "instances": _fingerprint(instances),
        },
    )
    path = out / STEPS
    done = {record["instance_id"] for record in keep_lines(path, lambda record: "instance_id" in record)}
    missing = [instance for instance in instances if instance.instance_id not in done]
    starts = range(0, len(missing), batch)
    for start in track(starts, "steps", console=console, disable=console is None):
        part = missing[start : start + batch]
        conversations = [instance.messages for instance in part]
        sampled = generate(conversations, samples)
        best = greedy(conversations, 1) if greedy else [[] for _ in part]
        for instance, texts, most_likely in zip(part, sampled, best, strict=True):
            append_line(path, _record(instance, texts, most_likely, autojunk=autojunk))
    return summarise_steps(read_steps(out))


def read_steps(out: Path) -> list[dict[str, Any]]:
    """The lines of a folder's ``steps.jsonl``; none where there is no such file.

    Raises:
        ConfigError: a line is not a step's record.
    """
    records = read_lines(out / STEPS)
    for record in records:
        if not isinstance(record.get("samples"), list) or not {"instance_id", "task_id", "expert_action"} <= set(
            record
        ):
            raise ConfigError(f"{out / STEPS}: a line is not a step's record: it needs instance_id, task_id, samples …")
    return records


def summarise_steps(records: Sequence[dict[str, Any]], *, seed: int = 0) -> StepSummary:
    """Means and intervals over the lines of ``steps.jsonl``."""

    def mean(of: Callable[[dict[str, Any]], list[float]]) -> Interval:
        values = [(of(record), record["task_id"]) for record in records]
        kept = [(sum(v) / len(v), task) for v, task in values if v]
        return bootstrap_mean([v for v, _ in kept], [task for _, task in kept], seed)

    return StepSummary(
        instances=len(records),
        samples=sum(len(record["samples"]) for record in records),
        similarity=mean(lambda r: [s["similarity"] for s in r["samples"]]),
        reward=mean(lambda r: [s["reward"] for s in r["samples"]]),
        well_formed=mean(lambda r: [float(s["well_formed"]) for s in r["samples"]]),
        greedy_similarity=mean(lambda r: [r["greedy"]["similarity"]] if r.get("greedy") else []),
    )


def compare_steps(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]], *, seed: int = 0) -> Interval:
    """Mean change of similarity on the step instances that both have, paired, whole tasks resampled."""
    earlier = {record["instance_id"]: mean_similarity(record) for record in before if record["samples"]}
    pairs = [
        (mean_similarity(record) - earlier[record["instance_id"]], record["task_id"])
        for record in after
        if record["samples"] and record["instance_id"] in earlier
    ]
    return bootstrap_mean([change for change, _ in pairs], [task for _, task in pairs], seed)


def mean_similarity(record: dict[str, Any]) -> float:
    """Mean similarity of a step's sampled answers."""
    return float(sum(sample["similarity"] for sample in record["samples"]) / len(record["samples"]))


def _record(instance: StepInstance, texts: list[str], greedy: list[str], *, autojunk: bool) -> dict[str, Any]:
    return {
        "instance_id": instance.instance_id,
        "task_id": instance.task_id,
        "step": instance.step,
        "expert_action": instance.expert_action,
        "context": instance.messages[-1]["content"][-CONTEXT_CHARS:],
        "samples": [_sample(text, instance, autojunk) for text in texts],
        "greedy": _sample(greedy[0], instance, autojunk) if greedy else None,
    } | ({"domain": instance.domain} if instance.domain != "repository" else {})


def _sample(text: str, instance: StepInstance, autojunk: bool) -> dict[str, Any]:
    score = score_action(text, instance.expert_action, autojunk=autojunk, domain=instance.domain)
    well_formed = bool(score.parts["well_formed"])
    similarity = score.parts["similarity"] if well_formed else 0.0
    return {"text": text, "reward": score.value, "similarity": similarity, "well_formed": well_formed}


def _fingerprint(instances: Sequence[StepInstance]) -> str:
    digest = hashlib.sha256()
    for instance in sorted(instances, key=lambda instance: instance.instance_id):
        digest.update(repr((instance.instance_id, instance.messages, instance.expert_action)).encode())
    return digest.hexdigest()
