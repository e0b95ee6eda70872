"""``srl-swe math import, generate, check``: suites of maths problems, and experts' solutions as trajectories."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tyro.conf import Positional

from srl_swe.commands.output import console, print_table
from srl_swe.commands.suites import Suites, read_tasks
from srl_swe.errors import ConfigError
from srl_swe.records import Split, Task

if TYPE_CHECKING:
    from srl_swe.tasks.formats.importing import Account

_SHOWN = 20
StepStyle = Literal["auto", "titled", "numbered", "lines", "paragraphs"]


def import_(
    sources: Positional[tuple[str, ...]],
    *,
    to: Path,
    trajectories: Path | None = None,
    steps: StepStyle = "auto",
    split: Split | None = None,
    format: str = "",
    columns: str = "",
    skip_bad: bool = False,
    limit: int = 0,
) -> int:
    """Write a suite of maths problems from GSM8K, s1K, MATH, AIME, AMC, Minerva, OlympiadBench, or named columns.

    With --trajectories, the problems' worked solutions are cut into steps as well, for `srl-swe train`. Exits with 2 at
    a bad row, unless they are skipped. What is in the suite already is kept.

    Args:
        sources: Files (JSON, JSON Lines, Parquet), or data sets of the Hugging Face hub (owner/name:split).
        to: The suite's folder; made if it is not there.
        trajectories: Write the solutions of the suite's problems here, cut into steps.
        steps: How: by titles ("1. **Title**"), numbers, lines, paragraphs, or whichever of the first three fits.
        split: Of all rows; without it, as rows say (those of contests, Minerva and MATH's test are held out).
        format: Of the rows; recognised by their fields if it is not given.
        columns: Which columns hold what, such as problem=question,answer=answer,solution=solution.
        skip_bad: Count bad rows, and go on.
        limit: Stop after so many problems.
    """
    from srl_swe.tasks.mathematics.columns import parse_columns
    from srl_swe.tasks.mathematics.importing import FORMATS, import_problems

    if not sources:
        raise ConfigError("expected at least one file or data set")
    if format and format not in FORMATS:
        raise ConfigError(f"--format: expected one of {', '.join(FORMATS)}, got {format!r}")
    if limit < 0:
        raise ConfigError(f"--limit: expected 0 or more, got {limit}")
    account, tasks = import_problems(
        sources,
        to,
        format_name=format,
        columns=parse_columns(columns),
        split=split,
        skip_bad=skip_bad,
        limit=limit,
    )
    _print_account(account)
    if trajectories is not None:
        _write_solutions(tasks, trajectories, steps)
    return 0 if tasks else 1


def generate(
    datasets: Positional[tuple[str, ...]],
    *,
    to: Path,
    size: int = 100,
    seed: int = 0,
    split: Split = "train",
    config: str = "{}",
) -> int:
    """Write a suite of problems made by reasoning-gym, which also scores the answers. Needs the extra reasoning-gym.

    Args:
        datasets: Names of its data sets, such as basic_arithmetic.
        to: The suite's folder, which must not be there.
        size: Problems of each data set.
        seed: Of them; give what is held out another seed, far from the one trained on.
        split: Of all of them.
        config: Further arguments of the data sets, as a JSON object.
    """
    from srl_swe.tasks.mathematics.generating import generate_problems
    from srl_swe.tasks.mathematics.importing import save_suite

    if not datasets:
        raise ConfigError("expected the name of at least one data set of reasoning-gym")
    if to.exists() and any(to.iterdir()):
        raise ConfigError(f"--to: {to} is there already")
    tasks = list(generate_problems(datasets, to, size=size, seed=seed, split=split, config=_object(config)))
    save_suite(to, to.resolve().name, tasks)
    console().print(f"written: {to}: {len(tasks)} problems", markup=False)
    return 0


def check(suites: Suites = (), *, split: Split | None = None) -> int:
    """Judge the worked solutions of problems by the verifier, without a model. Exits with 1 if one is not found right.

    Args:
        suites: Suite folders; every one of maths problems in envs/ by default.
        split: Only this split.
    """
    from rich.progress import track

    from srl_swe.rewards.mathematics import AnswerChecker

    tasks = read_tasks(suites, split=split, domain="mathematics")
    checker, counts = AnswerChecker(), Counter[str]()
    wrong: list[tuple[str, str, str]] = []
    for task in track(tasks, "solutions", console=console(stderr=True), transient=True):
        if task.answer is None or not task.solution:
            counts["no answer or no solution"] += 1
            continue
        value = checker.score(task.solution, task.answer).value
        result = "not judged" if value is None else "right" if value >= 1 else "wrong"
        counts[result] += 1
        if result != "right":
            wrong.append((task.task_id, result, task.answer.answer))
    checker.close()
    if wrong:
        print_table(["problem", "its solution is", "the right answer"], wrong[:_SHOWN])
    said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    console().print(f"{len(tasks)} problems: {said}", markup=False)
    return 1 if wrong else 0


def _write_solutions(tasks: list[Task], path: Path, style: StepStyle) -> None:
    from srl_swe.experts.solutions import solution_trajectories
    from srl_swe.experts.trajectories import write_trajectories

    found, dropped = solution_trajectories(tasks, style)
    reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.most_common()) or "none"
    if not found:
        raise ConfigError(f"--trajectories: no solution could be cut into steps ({reasons}); see --steps")
    write_trajectories(path, found)
    count = sum(len(trajectory.steps) for trajectory in found)
    console().print(
        f"written: {path}: {len(found)} of {len(tasks)} solutions, {count} steps; dropped: {reasons}", markup=False
    )


def _print_account(account: Account) -> None:
    rows = [("refused", text) for text in account.refused] + [("bad", text) for text in account.bad]
    if rows:
        print_table(["", "row and reason"], rows[:_SHOWN])
        if len(rows) > _SHOWN:
            console().print(f"and {len(rows) - _SHOWN} more")
    parts = {"written": account.written, "kept": account.kept, "refused": account.refused, "bad": account.bad}
    console().print(", ".join(f"{len(found)} {name}" for name, found in parts.items()))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"--config: not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError("--config: expected a JSON object")
    return value
