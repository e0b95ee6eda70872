"""Expert trajectories and step instances to browse, with what is known of each step: rewards, drift, scores."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srl_swe.evaluation.site.data_files import Collection
from srl_swe.evaluation.site.entries import Entry, Part, Row, Tone
from srl_swe.evaluation.site.episode_entries import outcome
from srl_swe.evaluation.site.runs import Evaluation, as_number
from srl_swe.evaluation.site.text import first_line
from srl_swe.evaluation.steps import mean_similarity
from srl_swe.experts.dataset import iter_instances
from srl_swe.experts.formats.reading import Tally, read_file
from srl_swe.files import iter_lines
from srl_swe.records import Step, StepInstance, Trajectory


@dataclass(kw_only=True, slots=True)
class FileNumbers:
    """One row of the table of files."""

    name: str
    """The file."""
    trajectories: int = 0
    """Read from it."""
    steps: int = 0
    """Their steps."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Trajectories by outcome."""
    drifted: int = 0
    """Trajectories of which a step drifted in a replay."""
    skipped: int = 0
    """Rows that could not be read."""
    reasons: tuple[str, ...] = ()
    """Why, of the first of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Replay:
    drifted: frozenset[int]
    ratios: tuple[float, ...] = ()
    reasons: tuple[str, ...] = ()


def student_scores(evaluations: Sequence[Evaluation]) -> dict[str, list[tuple[str, float]]]:
    """By step instance: each evaluation's mean similarity."""
    scores: dict[str, list[tuple[str, float]]] = {}
    for evaluation in evaluations:
        for record in evaluation.steps:
            if record["samples"]:
                scores.setdefault(str(record["instance_id"]), []).append((evaluation.label, mean_similarity(record)))
    return scores


def write_trajectories(
    files: Sequence[Path], out: Path, scores: Mapping[str, list[tuple[str, float]]], *, most: int
) -> tuple[Collection, list[FileNumbers]]:
    """Write the page's data from files of any known format; rows that cannot be read are counted and left out."""
    filters = ("Task", "Outcome", "Replay", "Source", "Split")
    orders = ("as in the files", "most steps first", "most drift first")
    collection = Collection(out, "trajectories", filters=filters, orders=orders, most=most)
    table = []
    names = Counter[str]()
    for path in files:
        numbers, tally = FileNumbers(name=path.name), Tally()
        replays = _replays(path)
        for trajectory in read_file(path, skip_bad=True, tally=tally, names=names):
            replay = replays.get(trajectory.trajectory_id) or _replay_of(trajectory)
            numbers.outcomes[outcome(trajectory.resolved)[0]] += 1
            numbers.drifted += bool(replay and replay.drifted)
            if collection.full:
                collection.left_out += 1
            else:
                collection.add(_row(trajectory, replay), _entry(trajectory, replay, scores))
        numbers.trajectories, numbers.steps, numbers.skipped = tally.trajectories, tally.steps, tally.skipped
        numbers.reasons = tuple(tally.reasons[:5])
        table.append(numbers)
    collection.close()
    return collection, table


def write_instances(
    files: Sequence[Path], out: Path, scores: Mapping[str, list[tuple[str, float]]], *, most: int
) -> tuple[Collection, int]:
    """Write the page's data; of very many, so many at even distances. Also returns how many there are."""
    orders = ("as in the files", "longest prompt first")
    collection = Collection(out, "instances", filters=("Task", "Split", "Step"), orders=orders)
    total = sum(1 for path in files for _ in iter_instances(path))
    stride = -(-total // most)
    for number, instance in enumerate(_all_instances(files)):
        if number % stride == 0:
            collection.add(_instance_row(instance), _instance_entry(instance, scores.get(instance.instance_id, [])))
    collection.left_out = total - len(collection)
    collection.close()
    return collection, total


def expert_actions(trajectories: Iterable[Path], instances: Iterable[Path]) -> dict[str, str]:
    """The expert's action of each step instance in the files; what cannot be read has none."""
    actions = {}
    for path in trajectories:
        for trajectory in read_file(path, skip_bad=True):
            for k, step in enumerate(trajectory.steps):
                actions[f"{trajectory.trajectory_id}#{k}"] = step.action
    for path in instances:
        for instance in iter_instances(path):
            actions[instance.instance_id] = instance.expert_action
    return actions


def _row(trajectory: Trajectory, replay: _Replay | None) -> Row:
    word, tone = outcome(trajectory.resolved)
    word = "not verified" if trajectory.resolved is None else word
    drift = _drift_words(replay)
    made = " ".join(part for part in (trajectory.source, trajectory.model) if part)
    detail = f"{made} · {len(trajectory.steps)} steps" + (f" · {drift}" if replay else "")
    return Row(
        title=trajectory.trajectory_id,
        detail=detail,
        badge=word,
        tone=tone,
        facets=(trajectory.task_id, word, drift, trajectory.source, trajectory.split),
        sorts=(float(len(trajectory.steps)), float(len(replay.drifted)) if replay else -1.0),
    )


def _drift_words(replay: _Replay | None) -> str:
    if replay is None:
        return "not replayed"
    return "drifted" if replay.drifted else "no drift"


def _entry(trajectory: Trajectory, replay: _Replay | None, scores: Mapping[str, list[tuple[str, float]]]) -> Entry:
    facts = (
        ("Task", trajectory.task_id),
        ("Outcome", "not verified" if trajectory.resolved is None else outcome(trajectory.resolved)[0]),
        ("Source", trajectory.source),
        ("Model", trajectory.model),
        ("Split", trajectory.split),
        ("Replay", _drift_words(replay)),
    )
    mistakes = trajectory.provenance.get("mistakes")
    slips = set(mistakes) if isinstance(mistakes, list) and all(isinstance(k, int) for k in mistakes) else set()
    parts = []
    for k, step in enumerate(trajectory.steps):
        parts.append(_part(k, step, replay, k in slips, scores.get(f"{trajectory.trajectory_id}#{k}", [])))
    provenance = "\n".join(f"{key}: {value}" for key, value in trajectory.provenance.items())
    return Entry(
        title=trajectory.trajectory_id,
        facts=facts,
        notes=replay.reasons if replay else (),
        texts=(("Problem", trajectory.problem_statement), ("Provenance", provenance)),
        parts=tuple(parts),
    )


def _part(k: int, step: Step, replay: _Replay | None, is_slip: bool, students: Sequence[tuple[str, float]]) -> Part:
    tags: list[tuple[str, Tone]] = []
    if not step.runnable:
        tags.append(("cannot run: text only", "warn"))
    if is_slip:
        tags.append(("slip, mended later", "warn"))
    scores = [] if step.reward is None else [("reward", step.reward)]
    if replay is not None:
        if k in replay.drifted:
            tags.append(("drifted in the replay", "bad"))
        if k < len(replay.ratios):
            scores.append(("observation in the replay", replay.ratios[k]))
    scores += [(f"student, {label}", value) for label, value in students]
    texts = ((f"As its source wrote it: {step.call.name}", step.call.arguments),) if step.call else ()
    return Part(
        title=f"Step {k + 1}",
        tags=tuple(tags),
        scores=tuple(scores),
        thought=step.thought,
        action=step.action,
        observation=step.observation,
        texts=texts,
    )


def _replay_of(trajectory: Trajectory) -> _Replay | None:
    """What ``srl-swe replay --verify-to`` left in the trajectory."""
    found = trajectory.provenance.get("replay")
    drifted = found.get("drifted") if isinstance(found, dict) else None
    if not isinstance(drifted, list):
        return None
    return _Replay(drifted=frozenset(k for k in drifted if isinstance(k, int)))


def _replays(path: Path) -> dict[str, _Replay]:
    """What files of rejected trajectories beside this one say: ``*.rejected.jsonl`` of ``srl-swe replay``."""
    found: dict[str, _Replay] = {}
    for rejected in sorted(path.parent.glob("*.rejected.jsonl")):
        for record in iter_lines(rejected):
            replay, reasons = record.get("replay"), record.get("reasons")
            if isinstance(replay, dict) and isinstance(reasons, list):
                ratios = [as_number(ratio) or 0.0 for ratio in _list(replay.get("ratios"))]
                drifted = frozenset(k for k in _list(replay.get("drifted")) if isinstance(k, int))
                why = tuple(f"rejected: {reason}" for reason in reasons)
                found[str(record.get("trajectory_id"))] = _Replay(drifted=drifted, ratios=tuple(ratios), reasons=why)
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _all_instances(files: Iterable[Path]) -> Iterator[StepInstance]:
    for path in files:
        yield from iter_instances(path)


def _instance_row(instance: StepInstance) -> Row:
    length = sum(len(message["content"]) for message in instance.messages)
    return Row(
        title=instance.instance_id,
        detail=first_line(instance.expert_action),
        badge=f"{length:,} characters",
        tone="plain",
        facets=(instance.task_id, instance.split, f"step {instance.step + 1}"),
        sorts=(float(length),),
    )


def _instance_entry(instance: StepInstance, students: Sequence[tuple[str, float]]) -> Entry:
    part = Part(
        title=f"Step {instance.step + 1}: the expert",
        scores=tuple((f"student, {label}", value) for label, value in students),
        thought=instance.expert_thought,
        action=instance.expert_action,
    )
    messages = tuple(
        (f"Message {n}, {message['role']}", message["content"]) for n, message in enumerate(instance.messages, start=1)
    )
    return Entry(
        title=instance.instance_id,
        facts=(("Task", instance.task_id), ("Split", instance.split)),
        texts=messages,
        parts=(dataclasses.replace(part),),
    )
