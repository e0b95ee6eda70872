"""Runs of tests in a warm container, each with some files changed: what `mutant_runs` finds, as records."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srl_swe.errors import SandboxError
from srl_swe.grading import fenced_run
from srl_swe.grading.patches import ROOT
from srl_swe.sandbox import open_sandbox
from srl_swe.sandbox.protocol import Sandbox, SandboxLimits
from srl_swe.tasks.synthesis import mutant_runs

LIMITS = SandboxLimits(memory_mb=2048)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One run of tests."""

    run: tuple[str, ...]
    """Test files."""
    only: tuple[str, ...] = ()
    """Node ids; empty: all in the files."""
    write: Mapping[str, str] = field(default_factory=dict)
    """Path to text of the files that are changed for the run."""
    limit_s: float
    """Seconds after which it is stopped."""
    test_limit_s: float = 60.0
    """Processor time, in seconds, of one test."""
    trace: bool = False
    """Whether covered lines are recorded."""
    keep: bool = False
    """Whether the compiled files are kept for the trials after it; only for unchanged code."""
    most: int = 0
    """Failures after which the rest is not run; 0: never."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResult:
    """How it went."""

    status: str
    """``ended``, ``timeout`` or ``died``."""
    wall: float
    """Seconds."""
    exit: int = 0
    """pytest's."""
    outcomes: Mapping[str, str] = field(default_factory=dict)
    """Node id to ``passed``, ``failed``, ``random`` (the test draws its inputs) or ``other``."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Node id to its time."""
    covered: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    """Node id to path to the lines that it ran."""
    errors: tuple[str, ...] = ()
    """What could not be collected."""
    evidence: tuple[dict[str, Any], ...] = ()
    """Of the first failing tests, what `mutant_runs.evidence` says."""


def open_warm(image: str, *, backend: str = "docker") -> Sandbox:
    """Open a container for trials."""
    return open_sandbox(image, backend=backend, workdir=ROOT, limits=LIMITS)


def try_all(sandbox: Sandbox, trials: Sequence[Trial]) -> list[TrialResult]:
    """Run trials one after the other.

    Raises:
        SandboxError: the container, or the program in it, came to an end before them.
    """
    folder = f"/tmp/trials-{secrets.token_hex(8)}"
    order = {"root": ROOT, "jobs": [dataclasses.asdict(trial) for trial in trials]}
    sandbox.write_file(f"{folder}/order.json", json.dumps(order).encode())
    for module in (mutant_runs, fenced_run):
        path = Path(str(module.__file__))
        sandbox.write_file(f"{folder}/{path.name}", path.read_bytes())
    # As the grader does it.
    command = (
        f'cd {ROOT} && env -i PATH="$PATH" HOME="$HOME" LANG=C.UTF-8 PYTHONHASHSEED=0 '
        f"python -P -s {folder}/mutant_runs.py {folder} </dev/null"
    )
    ran = sandbox.run(command, timeout_s=60 + sum(trial.limit_s + 5 for trial in trials))
    lines = sandbox.read_file(f"{folder}/results").decode().splitlines() if ran.exit_code == 0 else []
    if len(lines) != len(trials):
        raise SandboxError(f"trials ended before their end, with exit code {ran.exit_code}: {ran.output[-500:]}")
    sandbox.run(f"rm -rf {folder}; git checkout -q -- . ; git clean -fdq", timeout_s=60)
    return [_result(json.loads(line)) for line in lines]


def _result(found: dict[str, Any]) -> TrialResult:
    return TrialResult(**found | {key: tuple(found[key]) for key in ("errors", "evidence") if key in found})
