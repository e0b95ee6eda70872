"""Read and write expert trajectories: JSON Lines, one trajectory a line (the schema is in ``trajectories/SCHEMA.md``).

Reading is strict: a line that is not exactly a trajectory raises `TrajectoryError` naming file, line and field, because
what is read here is what a model is trained on. Writing is atomic: readers see the old file or the new one, never half.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from srl_swe.data_files import parse_json
from srl_swe.errors import TrajectoryError
from srl_swe.files import replacing
from srl_swe.records import Domain, Split, Step, ToolCall, Trajectory

SCHEMA_VERSION = 1
"""The value of each line's ``schema`` key."""

_TEXT_FIELDS = ("trajectory_id", "task_id", "split", "problem_statement", "source")
_REQUIRED = frozenset({"schema", "steps", *_TEXT_FIELDS})
_OPTIONAL = frozenset({"domain", "model", "resolved", "provenance"})
_STEP_REQUIRED = frozenset({"thought", "action", "observation"})
_STEP_OPTIONAL = frozenset({"call", "runnable", "reward"})
_CALL_FIELDS = frozenset({"name", "arguments"})


def read_trajectories(path: Path | str) -> list[Trajectory]:
    """Every trajectory of a file, in order.

    Raises:
        TrajectoryError: the file cannot be read, holds no trajectory, or a line is wrong.
    """
    return list(iter_trajectories(path))


def iter_trajectories(path: Path | str) -> Iterator[Trajectory]:
    """Like `read_trajectories`, one at a time: memory does not grow with the file, apart from the ids seen.

    Blank lines are skipped. A file without any trajectory is an error, since nothing useful can be done with it.
    """
    first_seen: dict[str, int] = {}
    try:
        with Path(path).open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                trajectory = parse_trajectory(line, where=f"{path}:{number}")
                earlier = first_seen.setdefault(trajectory.trajectory_id, number)
                if earlier != number:
                    used = f"{trajectory.trajectory_id!r} is already used on line {earlier}"
                    raise TrajectoryError(f"{path}:{number}: trajectory_id: {used}")
                yield trajectory
    except OSError as error:
        raise TrajectoryError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not first_seen:
        raise TrajectoryError(f"{path}: holds no trajectory (the file is empty)")


def runnable_part(trajectory: Trajectory) -> Trajectory:
    """The trajectory without the steps whose action means nothing in our container.

    Raises:
        TrajectoryError: no step is left.
    """
    steps = tuple(step for step in trajectory.steps if step.runnable)
    if not steps:
        raise TrajectoryError(f"trajectory {trajectory.trajectory_id!r} has no action that could run")
    return trajectory if len(steps) == len(trajectory.steps) else replace(trajectory, steps=steps)


def write_trajectories(path: Path | str, trajectories: Iterable[Trajectory]) -> int:
    """Write a file atomically (a temporary file beside it, then a rename); returns how many were written.

    Raises:
        TrajectoryError: there is nothing to write, an id occurs twice, or a value cannot be written as JSON in UTF-8.
        StorageError: the disk is full, the folder is read-only …
    """
    path = Path(path)
    ids: set[str] = set()
    with replacing(path) as out:
        for trajectory in trajectories:
            if trajectory.trajectory_id in ids:
                raise TrajectoryError(f"{path}: trajectory_id {trajectory.trajectory_id!r} occurs twice")
            ids.add(trajectory.trajectory_id)
            out.write(format_trajectory(trajectory))
        if not ids:
            raise TrajectoryError(f"{path}: there is no trajectory to write")
    return len(ids)


def format_trajectory(trajectory: Trajectory) -> bytes:
    """One line of the file, newline included.

    Raises:
        TrajectoryError: a value cannot be written as JSON in UTF-8.
    """
    record = {
        "schema": SCHEMA_VERSION,
        **{name: getattr(trajectory, name) for name in _TEXT_FIELDS},
        "model": trajectory.model,
        "resolved": trajectory.resolved,
        "provenance": trajectory.provenance,
        **({"domain": trajectory.domain} if trajectory.domain != "repository" else {}),
        "steps": [_step_record(step) for step in trajectory.steps],
    }
    try:
        return (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TrajectoryError(f"trajectory {trajectory.trajectory_id!r} cannot be written: {error}") from error


def parse_trajectory(line: bytes, *, where: str) -> Trajectory:
    """One line of the file; ``where`` (``file:line``) starts every error message.

    Raises:
        TrajectoryError: the line is not exactly one trajectory.
    """
    try:
        record = parse_json(line.decode())
    except UnicodeDecodeError as error:
        raise TrajectoryError(f"{where}: not valid UTF-8 at byte {error.start + 1} of the line") from error
    except json.JSONDecodeError as error:
        cut = "" if line.endswith(b"\n") else "; the file ends in the middle of this line: was it cut off?"
        raise TrajectoryError(f"{where}: not valid JSON: {error.msg} (column {error.colno}){cut}") from error
    except (ValueError, RecursionError) as error:
        raise TrajectoryError(f"{where}: not valid JSON: {error}") from error
    return build_trajectory(record, where=where)


def build_trajectory(record: Any, *, where: str) -> Trajectory:
    """A trajectory from one line's value; ``where`` starts every error message.

    Raises:
        TrajectoryError: the value is not exactly one trajectory.
    """
    _check_fields(record, _REQUIRED, _OPTIONAL, where=where, field="")
    if record["schema"] != SCHEMA_VERSION or isinstance(record["schema"], bool):
        raise TrajectoryError(f"{where}: schema: expected {SCHEMA_VERSION}, found {_show(record['schema'])}")
    texts = {name: _text(record[name], where=where, field=name, empty=False) for name in _TEXT_FIELDS}
    if texts["split"] not in get_args(Split):
        expected = " or ".join(repr(name) for name in get_args(Split))
        raise TrajectoryError(f"{where}: split: expected {expected}, found {_show(texts['split'])}")
    domain = record.get("domain", "repository")
    if domain not in get_args(Domain):
        expected = " or ".join(repr(name) for name in get_args(Domain))
        raise TrajectoryError(f"{where}: domain: expected {expected}, found {_show(domain)}")
    resolved, provenance = record.get("resolved"), record.get("provenance", {})
    if resolved is not None and not isinstance(resolved, bool):
        raise TrajectoryError(f"{where}: resolved: expected true, false or null, found {_show(resolved)}")
    if not isinstance(provenance, dict):
        raise TrajectoryError(f"{where}: provenance: expected an object, found {_show(provenance)}")
    try:  # what is read can be written again
        json.dumps(provenance, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise TrajectoryError(f"{where}: provenance: cannot be written as JSON: {error}") from error
    return Trajectory(
        **texts,  # type: ignore[arg-type]  # the split was checked just above
        steps=_steps(record["steps"], where=where),
        model=_text(record.get("model", ""), where=where, field="model"),
        resolved=resolved,
        provenance=provenance,
        domain=domain,
    )


def _steps(value: Any, *, where: str) -> tuple[Step, ...]:
    if not isinstance(value, list) or not value:
        raise TrajectoryError(f"{where}: steps: expected a non-empty list, found {_show(value)}")
    steps = []
    for index, step in enumerate(value):
        prefix = f"steps[{index}]"
        _check_fields(step, _STEP_REQUIRED, _STEP_OPTIONAL, where=where, field=prefix)
        texts = {
            name: _text(step[name], where=where, field=f"{prefix}.{name}", empty=name != "action")
            for name in ("thought", "action", "observation")
        }
        runnable, reward = step.get("runnable", True), step.get("reward")
        if not isinstance(runnable, bool):
            raise TrajectoryError(f"{where}: {prefix}.runnable: expected true or false, found {_show(runnable)}")
        if reward is not None and not _is_finite(reward):
            raise TrajectoryError(f"{where}: {prefix}.reward: expected a finite number, found {_show(reward)}")
        call = _call(step["call"], where=where, field=f"{prefix}.call") if "call" in step else None
        steps.append(Step(**texts, call=call, runnable=runnable, reward=reward))
    return tuple(steps)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _call(value: Any, *, where: str, field: str) -> ToolCall:
    _check_fields(value, _CALL_FIELDS, frozenset(), where=where, field=field)
    name = _text(value["name"], where=where, field=f"{field}.name", empty=False)
    return ToolCall(name=name, arguments=_text(value["arguments"], where=where, field=f"{field}.arguments"))


def _step_record(step: Step) -> dict[str, Any]:
    """What only an imported step has is left out of the others, so that their files stay as they were."""
    record: dict[str, Any] = {"thought": step.thought, "action": step.action, "observation": step.observation}
    if step.call is not None:
        record["call"] = {"name": step.call.name, "arguments": step.call.arguments}
    if not step.runnable:
        record["runnable"] = False
    if step.reward is not None:
        record["reward"] = step.reward
    return record


def _check_fields(value: Any, required: frozenset[str], optional: frozenset[str], *, where: str, field: str) -> None:
    label = f"{where}: {field}" if field else where
    if not isinstance(value, dict):
        raise TrajectoryError(f"{label}: expected an object, found {_show(value)}")
    dot = "." if field else ""
    for name in sorted(required - value.keys()):
        raise TrajectoryError(f"{where}: {field}{dot}{name}: missing")
    for name in sorted(value.keys() - required - optional):
        known = ", ".join(sorted(required | optional))
        raise TrajectoryError(f"{where}: {field}{dot}{name}: unknown field (known: {known})")


def _text(value: Any, *, where: str, field: str, empty: bool = True) -> str:
    if not isinstance(value, str):
        raise TrajectoryError(f"{where}: {field}: expected a string, found {_show(value)}")
    if not empty and not value.strip():
        raise TrajectoryError(f"{where}: {field}: must not be empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair; no file or tokenizer can hold it
        raise TrajectoryError(f"{where}: {field}: holds half of a surrogate pair at character {error.start}") from error
    return value


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else text[:57] + "…"
