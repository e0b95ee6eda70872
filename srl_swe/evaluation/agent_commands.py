"""What an external agent is told, by placeholders in its command line, and what it says of itself, in a file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from srl_swe.errors import ConfigError

_HOST_NAMES = (
    "container",
    "exec",
    "image",
    "problem_file",
    "workdir",
    "task_id",
    "output",
    "patch_file",
    "report_file",
)
_SANDBOX_NAMES = ("problem_file", "workdir", "task_id")


@dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """How an external agent is run."""

    command: str
    """A line for bash, with placeholders such as ``{container}`` and ``{problem_file}``."""
    name: str = "agent"
    """How results name it."""
    where: Literal["host", "sandbox"] = "host"
    """Where the command runs."""
    timeout_s: float = 1800.0
    """Seconds an episode of it may take."""
    backend: str = "docker"
    """Sandbox backend."""

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: naming it.
        """
        if not self.command.strip():
            raise ConfigError("agent command: it is empty")
        if not 0 < self.timeout_s < math.inf:
            raise ConfigError(f"agent timeout: must be above 0, not {self.timeout_s}")
        used = {name for name in _HOST_NAMES if f"{{{name}}}" in self.command}
        if self.where == "sandbox" and (bad := used - set(_SANDBOX_NAMES)):
            raise ConfigError(f"agent command: {{{min(bad)}}} is on this machine; the command runs in the sandbox")
        has_container = self.backend.partition(":")[0] in ("docker", "podman")
        if not has_container and (bad := used & {"container", "exec", "image"}):
            raise ConfigError(f"agent command: {{{min(bad)}}} needs a container; {self.backend} has none")


def fill(command: str, values: Mapping[str, str]) -> str:
    """Put values in place of ``{name}``; other braces are the shell's."""
    names = "|".join(values)
    return re.sub(rf"(?<!\$)\{{({names})\}}", lambda found: values[found[1]], command)


def read_report(path: Path) -> Mapping[str, Any]:
    """What an agent may say of itself: steps, prompt_tokens, completion_tokens, cost."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def count(value: object) -> float | None:
    """A number from 0, or none."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
    return float(value) if good else None  # type: ignore[arg-type]


def whole(value: object) -> int | None:
    """The same without its fraction."""
    number = count(value)
    return None if number is None else int(number)
