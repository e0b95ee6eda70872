"""What a dialect is: a table from an agent's tools to commands of our grammar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class Unmapped(Exception):
    """This action cannot run in our container; the message says why."""


@dataclass(slots=True)
class Workspace:
    """What a dialect keeps in mind between actions, and what came back of the one at hand."""

    folder: str = ""
    """Working directory, where the recording tells it."""
    file: str = ""
    """The open file, as the agent named it."""
    opened_in: str = ""
    """Where it did."""
    first: int = 1
    """First line of the window on it; where the agent edits by cursors: of the selection."""
    last: int = 1
    """Last line."""
    observation: str = ""
    """What came back of the action that is being mapped."""


Arguments = Mapping[str, Any]
Way = Callable[[Arguments, Workspace], str]
"""Arguments by name and the workspace in, a command of our grammar out. Raises `Unmapped`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """One agent's way to act."""

    name: str
    """Its name."""
    tools: Mapping[str, Way]
    """By the tool's name."""
    lines: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    """Tools that are called by a command line: their parameters, in order; ``None``: they do not matter. Any other line
    is for the shell."""
    submission: str = ""
    """What a shell command holds that ends the agent's work."""
    falls_silent: bool = False
    """Whether the agent ends its work by an answer without an action."""


def argument(arguments: Arguments, *names: str) -> str:
    """A string argument that must be there, under one of its names.

    Raises:
        Unmapped: it is missing or no string.
    """
    value = optional(arguments, *names)
    if not isinstance(value, str):
        raise Unmapped(f"{names[0]} is missing")
    return value


def optional(arguments: Arguments, *names: str) -> Any:
    """An argument under one of its names, or ``None``."""
    return next((arguments[name] for name in names if arguments.get(name) is not None), None)


def whole_number(arguments: Arguments, *names: str) -> int | None:
    """A whole number, written as one or as a string of digits; ``None`` where it is missing.

    Raises:
        Unmapped: it is something else.
    """
    value = optional(arguments, *names)
    if value is None or value == "":
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unmapped(f"{names[0]} is no whole number") from error


def truth(arguments: Arguments, *names: str) -> bool:
    """A flag, written as a boolean or as a word; false where it is missing."""
    return str(optional(arguments, *names)).lower() in ("true", "1", "yes")
