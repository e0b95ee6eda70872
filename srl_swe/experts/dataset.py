"""Step instances as a file, JSON Lines (the schema is in ``docs/instances.md``), and the card that says what is in it.

A file holds one split. Splits are by task: no step of a held-out task ever stands beside one to train on.
"""

from __future__ import annotations

import json
import statistics
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from srl_swe.errors import ConfigError, TrajectoryError
from srl_swe.files import replacing, write_atomically
from srl_swe.records import Domain, Message, Split, StepInstance, Trajectory

SCHEMA_VERSION = 1
"""The value of each line's ``schema`` key."""

_TEXTS = ("instance_id", "task_id", "split", "expert_action", "expert_thought")
_FIELDS = frozenset({"schema", "step", "messages", *_TEXTS})
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where trajectories come from."""

    source: str
    """``oracle``, ``teacher``, or the format that they were imported from."""
    model: str
    """Whose actions they are; empty where nobody says."""


@dataclass(kw_only=True, slots=True)
class Account:
    """Where every step of the trajectories went: ``steps`` = instances + ``dropped.total()``."""

    trajectories: Counter[Origin] = field(default_factory=Counter)
    """How many were read."""
    steps: Counter[Origin] = field(default_factory=Counter)
    """How many steps those have."""
    origins: dict[str, Origin] = field(default_factory=dict)
    """By trajectory id."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Steps that became no instance, by reason."""

    def add(self, trajectory: Trajectory) -> None:
        """Count a trajectory that was read."""
        origin = Origin(source=trajectory.source, model=trajectory.model)
        self.trajectories[origin] += 1
        self.steps[origin] += len(trajectory.steps)
        self.origins[trajectory.trajectory_id] = origin

    def origin(self, instance: StepInstance) -> Origin | None:
        """Where an instance comes from; ``None``: from no trajectory that was counted."""
        return self.origins.get(instance.instance_id.rpartition("#")[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """How prompts are counted in a model's tokens."""

    tokenizer: str
    """Whose."""
    count: Callable[[Sequence[Message]], int]
    """Tokens of a whole prompt, with all that the chat template adds."""
    budget: int | None = None
    """What prompts were to fit into."""


def write_instances(
    path: Path, instances: Iterable[StepInstance], account: Account | None = None, *, tokens: Tokens | None = None
) -> dict[str, Any]:
    """Write a file and its cards (``.card.json``, ``.card.md``), each atomically; returns the card.

    Args:
        path: Where to.
        instances: What to write, one in memory at a time.
        account: What they were made from; read when ``instances`` has ended.
        tokens: How to count in tokens too.

    Raises:
        ConfigError: there is nothing to write, an id occurs twice, or two splits are mixed.
        StorageError: the disk is full, the folder is read-only …
    """
    account = account or Account()
    counts = _Counts()
    with replacing(path) as out:
        for instance in instances:
            counts.add(path, instance, account.origin(instance), tokens)
            out.write(format_instance(instance))
        if not counts.ids:
            raise ConfigError(
                f"{path}: there is no step instance to write (dropped: {dict(account.dropped) or 'none'})"
            )
    card = counts.card(account, tokens)
    write_atomically(path.with_suffix(".card.json"), json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    write_atomically(path.with_suffix(".card.md"), _card_text(path.name, card))
    return card


class _Counts:
    """What a card says of the instances that were written."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.split = ""
        self.tasks: Counter[str] = Counter()
        self.origins: Counter[Origin] = Counter()
        # Arrays: a list of a million numbers takes four times as much.
        self.chars, self.tokens = array("l"), array("l")

    def add(self, path: Path, instance: StepInstance, origin: Origin | None, tokens: Tokens | None) -> None:
        if instance.instance_id in self.ids:
            raise ConfigError(f"{path}: instance_id {instance.instance_id!r} occurs twice")
        self.ids.add(instance.instance_id)
        self.split = self.split or instance.split
        if instance.split != self.split:
            found = f"{instance.instance_id!r} is {instance.split}, others are not"
            raise ConfigError(f"{path}: split: {found}; write one file for each split")
        self.tasks[instance.task_id] += 1
        if origin is not None:
            self.origins[origin] += 1
        self.chars.append(sum(len(message["content"]) for message in instance.messages))
        if tokens is not None:
            self.tokens.append(tokens.count(instance.messages))

    def card(self, account: Account, tokens: Tokens | None) -> dict[str, Any]:
        card: dict[str, Any] = {"instances": len(self.ids), "split": self.split, "prompt_chars": _lengths(self.chars)}
        if tokens is not None:
            card["tokenizer"] = tokens.tokenizer
            card["prompt_tokens"] = _lengths(self.tokens)
            if tokens.budget is not None:
                over = sum(length > tokens.budget for length in self.tokens)
                card |= {"token_budget": tokens.budget, "over_token_budget": over}
        card["sources"] = [
            {
                "source": origin.source,
                "model": origin.model,
                "trajectories": account.trajectories[origin],
                "steps": account.steps[origin],
                "instances": self.origins[origin],
            }
            for origin in sorted(account.steps, key=lambda o: (o.source, o.model))
        ]
        if account.steps:
            card["steps"] = account.steps.total()
        return card | {"tasks": dict(sorted(self.tasks.items())), "dropped": dict(sorted(account.dropped.items()))}


def _lengths(values: Sequence[int]) -> dict[str, float]:
    return {
        "least": min(values),
        "median": statistics.median(values),
        "mean": statistics.fmean(values),
        "most": max(values),
    }


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
    of_steps = f", of {card['steps']} steps" if "steps" in card else ""
    lines = [f"# {name}", ""]
    lines += [f"{card['instances']} step instances of {len(card['tasks'])} tasks{of_steps}, split {card['split']}.", ""]
    lines += [f"Prompt length in characters: {_range(card['prompt_chars'])}."]
    if "tokenizer" in card:
        lines += ["", f"Prompt length in tokens of {card['tokenizer']}: {_range(card['prompt_tokens'])}."]
    if "token_budget" in card:
        over = f"{card['over_token_budget']} are longer: problem and hint are never cut"
        lines += ["", f"They were to fit into {card['token_budget']} tokens; {over}."]
    if card["sources"]:
        lines += ["", "| Source | Model | Trajectories | Steps | Instances |", "| --- | --- | --- | --- | --- |"]
        for row in card["sources"]:
            lines.append(f"| {' | '.join(str(value) if value != '' else '–' for value in row.values())} |")
    for title, unit, counts in (("Task", "Instances", card["tasks"]), ("Dropped since", "Steps", card["dropped"])):
        if counts:
            lines += ["", f"| {title} | {unit} |", "| --- | --- |"]
            lines += [f"| {key} | {count} |" for key, count in counts.items()]
    return "\n".join(lines) + "\n"


def _range(lengths: dict[str, float]) -> str:
    return f"{lengths['least']} to {lengths['most']}, median {lengths['median']:g}, mean {lengths['mean']:.0f}"
