"""``srl-swe tasks synthesise``: new tasks from packages whose tests pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, UseAppendAction

from srl_swe.commands.output import console, print_table
from srl_swe.commands.suites import sweep_first


def synthesise(
    origins: Positional[tuple[str, ...]],
    *,
    to: Path,
    per_package: int = 12,
    most_tried: int = 150,
    seed: int = 0,
    heldout: Annotated[tuple[str, ...], UseAppendAction] = (),
    requires: Annotated[tuple[str, ...], UseAppendAction] = (),
    repeats: int = 1,
    workers: Annotated[int, tyro.conf.arg(aliases=["-j"])] = 2,
    backend: str = "docker",
) -> int:
    """Make tasks by mutation: put faults into code that is right, and keep those that its tests notice.

    A run that was interrupted goes on where it was. Exits with 1 if a package gave no task.

    Args:
        origins: Releases (PACKAGE==VERSION) and folders.
        to: The suite that is made, or added to.
        per_package: Most tasks of a package.
        most_tried: Most mutants of a package that are tried.
        seed: Of the choice of mutants and of the wording.
        heldout: A package of the held-out split; may be given several times. Suites beside this one count too.
        requires: A pip requirement of the packages' tests; may be given several times.
        repeats: How often the grader tries each task before it is kept; 0: not at all (see `tasks validate`).
        workers: Packages at a time.
        backend: Where sandboxes run.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from srl_swe.errors import ConfigError
    from srl_swe.tasks.synthesis.drafts import Settings
    from srl_swe.tasks.synthesis.synthesise import Outcome
    from srl_swe.tasks.synthesis.synthesise import synthesise as run

    if not origins:
        raise ConfigError("name at least one release (PACKAGE==VERSION) or folder")
    for option, value, least in (
        ("--per-package", per_package, 1),
        ("--most-tried", most_tried, 1),
        ("--repeats", repeats, 0),
    ):
        if value < least:
            raise ConfigError(f"{option}: expected a whole number from {least} on, got {value}")
    settings = Settings(
        suite=to,
        per_package=per_package,
        most_tried=most_tried,
        seed=seed,
        heldout=frozenset(heldout),
        requirements=requires,
        repeats=repeats,
        backend=backend,
    )
    sweep_first(backend)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("packages"))
    outcomes: list[Outcome] = []
    seen: dict[str, tuple[int, int]] = {}
    with Progress(*columns, TimeElapsedColumn(), console=console(stderr=True)) as bar:
        line = bar.add_task("synthesis", total=len(set(origins)))

        def show(label: str, kept: int, tried: int) -> None:
            seen[label] = (kept, tried)
            tasks, mutants = (sum(counts) for counts in zip(*list(seen.values()), strict=True))
            bar.update(line, description=f"{tasks} tasks of {mutants} mutants ({label})")

        for outcome in run(list(dict.fromkeys(origins)), settings, workers=workers, on_progress=show):
            outcomes.append(outcome)
            said = outcome.failure or outcome.unfit or f"{outcome.kept} tasks, {outcome.refused.total()} refused"
            bar.console.print(f"{outcome.label}: {said}", markup=False)
            bar.advance(line)
    _report(outcomes)
    if failed := [outcome for outcome in outcomes if outcome.failure]:
        console(stderr=True).print(f"{len(failed)} packages were not finished: run the same command again")
        return 2
    return 0 if all(outcome.kept for outcome in outcomes) else 1


def _report(outcomes: list) -> None:  # type: ignore[type-arg]
    rows = []
    for outcome in sorted(outcomes, key=lambda one: one.label):
        reasons = ", ".join(f"{count} {reason}" for reason, count in outcome.refused.most_common())
        rows.append((outcome.label, outcome.kept, outcome.refused.total(), outcome.failure or outcome.unfit or reasons))
    print_table(["package", "tasks", "refused", "why"], rows, title="synthesis")
    console().print(f"{sum(outcome.kept for outcome in outcomes)} tasks of {len(outcomes)} packages")
