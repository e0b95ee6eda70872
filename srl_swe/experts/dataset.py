"""Step instances as a file, JSON Lines (the schema is in ``docs/instances.md``), and the card that says what is in it.

A file holds one split. Splits are by task: no step of a held-out task ever stands beside one to train on.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

from srl_swe.errors import ConfigError, TrajectoryError
from srl_swe.files import replacing, write_atomically
from srl_swe.records import Domain, Split, StepInstance

SCHEMA_VERSION = 1
"""The value of each line's ``schema`` key."""

_TEXTS = ("instance_id", "task_id", "split", "expert_action", "expert_thought")
_FIELDS = frozenset({"schema", "step", "messages", *_TEXTS})
_ROLES = ("system", "user", "assistant")


def write_instances(path: Path, instances: Iterable[StepInstance], *, dropped: dict[str, int]) -> dict[str, Any]:
    """Write a file and its cards (``.card.json``, ``.card.md``), each atomically; returns the card.

    Args:
        path: Where to.
        instances: What to write, one in memory at a time.
        dropped: What was left out, by reason; read when ``instances`` has ended.

    Raises:
        ConfigError: there is nothing to write, an id occurs twice, or two splits are mixed.
        StorageError: the disk is full, the folder is read-only …
    """
    ids: set[str] = set()
    splits: set[str] = set()
    tasks: Counter[str] = Counter()
    lengths: list[int] = []
    with replacing(path) as out:
        for instance in instances:
            if instance.instance_id in ids:
                raise ConfigError(f"{path}: instance_id {instance.instance_id!r} occurs twice")
            ids.add(instance.instance_id)
            splits.add(instance.split)
            if len(splits) > 1:
                found = f"{instance.instance_id!r} is {instance.split}, others are not"
                raise ConfigError(f"{path}: split: {found}; write one file for each split")
            tasks[instance.task_id] += 1
            lengths.append(sum(len(message["content"]) for message in instance.messages))
            out.write(format_instance(instance))
        if not ids:
            raise ConfigError(f"{path}: there is no step instance to write (dropped: {dropped or 'none'})")
    card: dict[str, Any] = {
        "instances": len(ids),
        "split": splits.pop(),
        "prompt_chars": {
            "least": min(lengths),
            "median": statistics.median(lengths),
            "mean": statistics.fmean(lengths),
            "most": max(lengths),
        },
        "tasks": dict(sorted(tasks.items())),
        "dropped": dict(sorted(dropped.items())),
    }
    write_atomically(path.with_suffix(".card.json"), json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    write_atomically(path.with_suffix(".card.md"), _card_text(path.name, card))
    return card


def format_instance(instance: StepInstance) -> bytes:
    """One line of the file, newline included."""
    record = {
        "schema": SCHEMA_VERSION,
        **{name: getattr(instance, name) for name in _TEXTS},
        "step": instance.step,
        "messages": instance.messages,
    }
    if instance.domain != "repository":
        record["domain"] = instance.domain
    return (json.dumps(record, ensure_ascii=False) + "\n").encode()


def iter_instances(path: Path | str) -> Iterator[StepInstance]:
    """The instances of a file, one at a time.

    Raises:
        TrajectoryError: the file cannot be read or is empty, a line is wrong, or two splits are mixed.
    """
    split, number = "", 0
    ids: set[str] = set()
    try:
        with Path(path).open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                instance = _parse(line, where=f"{path}:{number}")
                if instance.instance_id in ids:
                    raise TrajectoryError(f"{path}:{number}: instance_id: {instance.instance_id!r} occurs twice")
                ids.add(instance.instance_id)
                split = split or instance.split
                if instance.split != split:
                    raise TrajectoryError(f"{path}:{number}: split: {instance.split}, but the file began with {split}")
                yield instance
    except OSError as error:
        raise TrajectoryError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not number:
        raise TrajectoryError(f"{path}: holds no step instance (the file is empty)")


def _parse(line: bytes, *, where: str) -> StepInstance:
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TrajectoryError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(record, dict) or record.keys() - {"domain"} != _FIELDS:
        raise TrajectoryError(f"{where}: expected an object with exactly {', '.join(sorted(_FIELDS))} (and domain)")
    domain = record.get("domain", "repository")
    if domain not in get_args(Domain):
        raise TrajectoryError(f"{where}: domain: expected {' or '.join(get_args(Domain))}, found {domain!r}")
    if record["schema"] != SCHEMA_VERSION:
        raise TrajectoryError(f"{where}: schema: expected {SCHEMA_VERSION}, found {record['schema']!r}")
    for name in _TEXTS:
        if not isinstance(record[name], str) or not (record[name].strip() or name == "expert_thought"):
            raise TrajectoryError(f"{where}: {name}: expected a string that is not empty")
    if record["split"] not in get_args(Split):
        raise TrajectoryError(f"{where}: split: expected {' or '.join(get_args(Split))}, found {record['split']!r}")
    if type(record["step"]) is not int or record["step"] < 0:
        raise TrajectoryError(f"{where}: step: expected a number from 0, found {record['step']!r}")
    messages = record["messages"]
    if not isinstance(messages, list) or not messages or not all(map(_is_message, messages)):
        raise TrajectoryError(f"{where}: messages: expected a non-empty list of objects with role and content")
    texts = {name: record[name] for name in _TEXTS}
    return StepInstance(**texts, step=record["step"], messages=tuple(messages), domain=domain)


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"role", "content"}
        and value["role"] in _ROLES
        and isinstance(value["content"], str)
    )


def _card_text(name: str, card: dict[str, Any]) -> str:
    chars = card["prompt_chars"]
    lines = [
        f"# {name}",
        "",
        f"{card['instances']} step instances of {len(card['tasks'])} tasks, split {card['split']}.",
        "",
        f"Prompt length in characters: {chars['least']} to {chars['most']}, median {chars['median']:g}.",
    ]
    for title, counts in (("Task", card["tasks"]), ("Dropped since", card["dropped"])):
        if counts:
            lines += ["", f"| {title} | Instances |", "| --- | --- |"]
            lines += [f"| {key} | {count} |" for key, count in counts.items()]
    return "\n".join(lines) + "\n"
