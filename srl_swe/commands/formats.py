"""``srl-swe tasks``: import from public formats, export to SWE-bench's, grade predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional

from srl_swe.commands.output import console, print_table, verdict
from srl_swe.commands.suites import Suites, TaskIds, read_tasks, sweep_first
from srl_swe.errors import ConfigError
from srl_swe.records import Split

if TYPE_CHECKING:
    from srl_swe.tasks.formats.importing import Account

_SHOWN = 40


def import_(
    source: Positional[str],
    *,
    to: Path,
    format: str = "",
    mirror: Path | None = None,
    build: bool = False,
    skip_bad: bool = False,
    limit: int = 0,
    only: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    timeout_s: float = 300.0,
) -> int:
    """Write a suite from SWE-bench, SWE-Gym, SWE-rebench, SWE-smith, R2E-Gym, Harbor or HumanEvalFix tasks.

    Exits with 2 at a bad row, unless they are skipped; with 1 if there is no task at the end. What is in the suite
    already is kept, so that an import that was interrupted can be run again.

    Args:
        source: A file (JSON, JSON Lines, Parquet), a folder, or a data set of the Hugging Face hub (owner/name:split).
        to: The suite's folder; made if it is not there.
        format: Of the rows; recognised by their fields if it is not given.
        mirror: A folder of clones (owner__name or owner/name) that stand in for the URLs of repositories.
        build: Build worlds from repositories, also where rows name prebuilt images.
        skip_bad: Count bad rows, and go on.
        limit: Stop after so many tasks.
        only: Only the row with this id; may be given several times.
        timeout_s: Seconds that a task's test run may take.
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from srl_swe.tasks.formats.importing import FORMATS, import_tasks
    from srl_swe.tasks.formats.reading import Reading

    if format and format not in FORMATS:
        raise ConfigError(f"--format: expected one of {', '.join(FORMATS)}, got {format!r}")
    if limit < 0 or not 0 < timeout_s < float("inf"):
        raise ConfigError("--limit and --timeout-s: expected a number above 0")
    if mirror is not None and not mirror.is_dir():
        raise ConfigError(f"--mirror: expected a folder, {mirror} is none")
    reading = Reading(suite=to, mirror=mirror, build=build, timeout_s=timeout_s)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        shown = progress.add_task("rows", total=None)
        account = import_tasks(
            source,
            reading,
            format_name=format,
            skip_bad=skip_bad,
            limit=limit,
            only=only,
            on_row=lambda account: progress.update(shown, description=_count(account)),
        )
    _print(account)
    return 0 if account.written or account.kept else 1


def export(suites: Suites = (), *, to: Path, split: Split | None = None, task: TaskIds = ()) -> int:
    """Write tasks as SWE-bench instances, JSON Lines with the fields of SWE-bench 5.

    Tasks on no public repository get one in TO.repositories/, where an import of the file finds it.

    Args:
        suites: Suite folders; every one in envs/ by default.
        to: The file.
        split: Only this split.
        task: Only this task; may be given several times.
    """
    from rich.progress import Progress

    from srl_swe.tasks.formats.exporting import export_tasks

    tasks = read_tasks(suites, split=split, ids=task)
    with Progress(console=console(stderr=True), transient=True) as progress:
        shown = progress.add_task("instances", total=len(tasks))
        left_out = export_tasks(tasks, to, on_task=lambda _: progress.advance(shown))
    if left_out:
        print_table(["left out"], [(line,) for line in left_out])
    console().print(f"{len(tasks) - len(left_out)} of {len(tasks)} tasks written to {to}", markup=False)
    return 0 if len(left_out) < len(tasks) else 1


def grade(
    suites: Suites = (),
    *,
    predictions: Path,
    json: Path | None = None,
    workers: Annotated[int, tyro.conf.arg(aliases=["-j"])] = 2,
    backend: str = "docker",
) -> int:
    """Grade a model's patches, in SWE-bench's form for predictions. Exits with 2 if the infrastructure failed for any.

    Args:
        suites: Suite folders; every one in envs/ by default.
        predictions: JSON Lines with instance_id, model_name_or_path and model_patch.
        json: Write the verdicts to this file.
        workers: Patches at a time.
        backend: Where sandboxes run: docker, docker:RUNTIME, podman, bubblewrap, or one that a package adds.
    """
    from srl_swe.tasks.formats.grades import summary, write_grades
    from srl_swe.tasks.formats.predictions import grade_predictions, match, read_predictions

    pairs = match(read_predictions(predictions), read_tasks(suites))
    sweep_first(backend)
    progress = console(stderr=True)
    verdicts = grade_predictions(
        pairs,
        workers=workers,
        backend=backend,
        on_verdict=lambda prediction, found: progress.print(
            verdict(found.solved, yes="solved", no="unsolved", unknown="not graded"), prediction.instance_id
        ),
    )
    if json is not None:
        write_grades(json, pairs, verdicts)
    rows = [
        (
            p.instance_id,
            p.model,
            verdict(v.solved, yes="solved", no="unsolved", unknown="not graded"),
            v.infrastructure or "",
        )
        for (_, p), v in zip(pairs, verdicts, strict=True)
    ]
    print_table(["task", "model", "verdict", "failure of the infrastructure"], rows)
    console().print(summary(verdicts))
    return 2 if any(found.solved is None for found in verdicts) else 0


def split(
    suite: Positional[Path],
    *,
    by: Literal["repository", "time", "hash"],
    heldout: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
) -> int:
    """Split a suite into tasks to train on and tasks that are held out, and record it in suite.toml.

    From then on, reading the suite fails where a task is on the wrong side.

    Args:
        suite: The suite's folder.
        by: Whole repositories; the day of the fix; or a hash of the repository's name, which stays as tasks are added.
        heldout: The fraction held out, 0.2 by default; or a repository, given several times for several; or the first
            day held out.
    """
    from srl_swe.tasks.folder import read_suite
    from srl_swe.tasks.splits import make_rule
    from srl_swe.tasks.writing import write_split

    tasks = read_suite(suite, check_split=False)
    if tasks[0].domain == "mathematics":
        raise ConfigError(f"{suite}: maths problems are split when they are imported: srl-swe math import --split")
    rule = make_rule(tasks, by, heldout or ("0.2",))
    write_split(suite, tasks, rule)
    held = sum(task.split == "heldout" for task in read_suite(suite))
    console().print(
        f"{held} of {len(tasks)} tasks are held out (by {by}: {', '.join(rule.heldout) or 'none'})", markup=False
    )
    return 0


def contamination(first: Positional[Path], second: Positional[Path]) -> int:
    """Look for what two suites share: repositories, and changes of the same lines. Exits with 1 if there is anything.

    Args:
        first: A suite's folder.
        second: Another's.
    """
    from srl_swe.tasks.contamination import find_overlaps
    from srl_swe.tasks.folder import read_suite
    from srl_swe.tasks.prepare import gold_patch

    sides = [[(task, gold_patch(task)) for task in read_suite(suite)] for suite in (first, second)]
    found = find_overlaps(*sides)
    if found:
        rows = [(overlap.kind, overlap.first, overlap.second, overlap.what) for overlap in found]
        print_table(["shared", first.name, second.name, "what"], rows)
    patches = sum(overlap.kind == "patch" for overlap in found)
    console().print(f"{len(found) - patches} repositories and {patches} changes are in both suites")
    return 1 if found else 0


def _count(account: Account) -> str:
    parts = {"written": account.written, "kept": account.kept, "refused": account.refused, "bad": account.bad}
    return ", ".join(f"{len(found)} {name}" for name, found in parts.items())


def _print(account: Account) -> None:
    rows = [("refused", text) for text in account.refused] + [("bad", text) for text in account.bad]
    if rows:
        print_table(["", "row and reason"], rows[:_SHOWN])
        if len(rows) > _SHOWN:
            console().print(f"and {len(rows) - _SHOWN} more")
    console().print(_count(account))
