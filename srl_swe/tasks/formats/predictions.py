"""Predictions in SWE-bench's form: ``instance_id``, ``model_name_or_path``, ``model_patch``, one a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from srl_swe.errors import InfrastructureError, StorageError, TaskError
from srl_swe.files import write_atomically
from srl_swe.grading.grade import grade
from srl_swe.records import Task, Verdict
from srl_swe.tasks.formats.rows import Row, read_rows
from srl_swe.tasks.prepare import prepare


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """One model's patch for one task."""

    instance_id: str
    """The task: its id, or the part after the slash."""
    model: str
    """``model_name_or_path``."""
    patch: str
    """``model_patch``; empty where the model gave none."""


def read_predictions(path: Path) -> list[Prediction]:
    """Read predictions: JSON Lines, a JSON list, or a JSON object from ids to predictions.

    Raises:
        TaskError: naming file, row and field; an id twice.
    """

    def on_bad(error: TaskError) -> None:
        raise error

    predictions: dict[str, Prediction] = {}
    for row in read_rows(str(path), on_bad):
        for found in _by_id(row):
            instance_id = found.text("instance_id")
            if instance_id in predictions:
                found.fail("instance_id", f"expected one prediction a task, {instance_id!r} was there before")
            patch = found.text("model_patch", "")
            model = found.text("model_name_or_path", "unknown")
            predictions[instance_id] = Prediction(instance_id=instance_id, model=model, patch=patch)
    return list(predictions.values())


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions, replacing the file whole.

    Raises:
        StorageError: it cannot be written.
    """
    lines = (
        json.dumps({"instance_id": p.instance_id, "model_name_or_path": p.model, "model_patch": p.patch})
        for p in predictions
    )
    write_atomically(path, "".join(f"{line}\n" for line in lines))


def match(predictions: Sequence[Prediction], tasks: Sequence[Task]) -> list[tuple[Task, Prediction]]:
    """Pair predictions with tasks.

    Raises:
        TaskError: a prediction is for no task, or for several.
    """
    names: dict[str, list[Task]] = {}
    for task in tasks:
        for name in {task.task_id, task.folder.name}:
            names.setdefault(name, []).append(task)
    pairs = []
    for prediction in predictions:
        found = names.get(prediction.instance_id, [])
        if len(found) != 1:
            several = f"several: {', '.join(task.task_id for task in found)}" if found else "none"
            raise TaskError(f"instance_id: expected one of the suites' tasks, {prediction.instance_id!r} is {several}")
        pairs.append((found[0], prediction))
    return pairs


def grade_predictions(
    pairs: Sequence[tuple[Task, Prediction]],
    *,
    workers: int = 2,
    backend: str = "docker",
    on_verdict: Callable[[Prediction, Verdict], None] | None = None,
) -> list[Verdict]:
    """Grade predictions, several at a time. What fails of the infrastructure is ``solved=None``, never ``False``.

    Raises:
        StorageError: a file could not be written.
    """
    verdicts: dict[int, Verdict] = {}
    with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="grade") as pool:
        waiting = {
            pool.submit(_grade, task, prediction, backend): number for number, (task, prediction) in enumerate(pairs)
        }
        try:
            for done in as_completed(waiting):
                number = waiting[done]
                verdicts[number] = done.result()
                if on_verdict is not None:
                    on_verdict(pairs[number][1], verdicts[number])
        except BaseException:
            # Those at work come to their end, and remove their containers; the others are not begun.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [verdicts[number] for number in range(len(pairs))]


def _grade(task: Task, prediction: Prediction, backend: str) -> Verdict:
    try:
        return grade(prepare(task, backend=backend), prediction.patch, backend=backend)
    except StorageError:
        raise
    except (InfrastructureError, TaskError) as error:
        # The task's world could not be made: that says nothing about the patch.
        return Verdict(solved=None, infrastructure=f"{type(error).__name__}: {error}")


def _by_id(row: Row) -> list[Row]:
    """A prediction, or all of an object from ids to predictions."""
    if "instance_id" in row.fields or not all(isinstance(value, dict) for value in row.fields.values()):
        return [row]
    return [
        Row(where=f"{row.where}: {key[:80]!a}", fields={"instance_id": key, **value}, folder=row.folder)
        for key, value in row.fields.items()
    ]
