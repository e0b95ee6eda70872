"""What every reader makes of a row: what the agent thought, did and saw, in its own words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from srl_swe.records import ToolCall


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One action of the agent and what came back, or one thing that it only said."""

    thought: str
    """What it thought or said before it acted."""
    call: ToolCall | None = None
    """The tool that it called."""
    command: str = ""
    """Else the command line that it wrote; empty with no ``call``: it only spoke."""
    observation: str = ""
    """What came back."""
    reward: float | None = None
    """The reward, where the source gives one."""
    folder: str = ""
    """The working directory, where the source gives it."""

    @property
    def acts(self) -> bool:
        """Whether there is an action."""
        return self.call is not None or bool(self.command.strip())


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """One row of a file."""

    format: str
    """The format's name."""
    task_id: str
    """The task, as the source names it."""
    problem: str
    """The problem as the agent saw it."""
    turns: tuple[Turn, ...]
    """In order."""
    dialect: str = ""
    """How its actions are to be understood; empty: told by the tools that it calls."""
    model: str = ""
    """The model's name."""
    resolved: bool | None = None
    """Whether it was graded as solved."""
    falls_silent: bool = False
    """Whether this agent ends its work by a message without an action."""
    extra: dict[str, Any] = field(default_factory=dict)
    """More about where it comes from, for the trajectory's provenance."""


_SUFFIXES = (".gz", ".zst", ".zstd", ".jsonl", ".ndjson", ".json", ".traj", ".yaml", ".yml", ".parquet")


def name_of(path: PurePath) -> str:
    """A file's name without what tells its kind: the task's name, where a row does not say it."""
    name = path.name
    while suffix := next((suffix for suffix in _SUFFIXES if name.endswith(suffix) and name != suffix), None):
        name = name.removesuffix(suffix)
    return name
