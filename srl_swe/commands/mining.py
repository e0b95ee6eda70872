"""``srl-swe tasks mine``: makes tasks from releases on PyPI and from the commits of a repository."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from tyro.conf import Positional

from srl_swe.commands.output import console, print_table
from srl_swe.commands.suites import sweep_first
from srl_swe.errors import ConfigError
from srl_swe.records import Split

if TYPE_CHECKING:
    from srl_swe.tasks.mining import MiningResult, Step
    from srl_swe.tasks.mining.rewriting import Ask

Names = Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
"""``--steps A --steps B``."""
Workers = Annotated[int, tyro.conf.arg(aliases=["-j"])]


def mine_pypi(
    packages: Positional[tuple[str, ...]] = (),
    *,
    suite: Path,
    steps: Names = (),
    limit: int | None = None,
    per_package: int | None = None,
    max_steps: int = 40,
    split: Split = "train",
    heldout: Names = (),
    workers: Workers = 2,
    rewrite_with: str | None = None,
    model: str | None = None,
) -> int:
    """Make tasks from successive releases of packages: the new tests, on the old source.

    What fails before the fix and passes after it, every time, is a task. Goes on where it was interrupted: the
    suite's .mining/journal.jsonl says what became of every step. Exits with 2 where steps could not be tried.

    Args:
        packages: Names on the package index; also PACKAGE==OLD:NEW, for one step.
        suite: The suite's folder; made if it is not there.
        steps: Only this step, as pypi:PACKAGE:OLD:NEW; may be given several times.
        limit: Stop when the suite has this many mined tasks.
        per_package: At most this many tasks of one package.
        max_steps: Steps to try of each package, newest first.
        split: Of new packages; tasks of a package that the suite has already go with the others.
        heldout: Put this package into the heldout split; may be given several times.
        workers: Steps at a time.
        rewrite_with: An OpenAI-compatible endpoint (up to /v1) that improves the statements' prose.
        model: The model's name there.
    """
    import itertools

    from srl_swe.tasks.mining.release_steps import parse_step, release_steps

    chosen = [parse_step(text) for text in (*steps, *(name for name in packages if "==" in name))]
    names = [name for name in packages if "==" not in name]
    if not chosen and not names:
        raise ConfigError("name at least one package, or a step with --steps PACKAGE==OLD:NEW")
    listed = [list(itertools.islice(release_steps(name), max_steps)) for name in names]
    # One of each package in turn, so that a limit is spread over all of them.
    turns = [step for turn in itertools.zip_longest(*listed) for step in turn if step is not None]
    return _mine([*chosen, *turns], suite, limit, per_package, split, heldout, workers, rewrite_with, model)


def mine_git(
    repository: Positional[str],
    *,
    suite: Path,
    max_commits: int = 200,
    since: str = "",
    limit: int | None = None,
    split: Split = "train",
    workers: Workers = 2,
    rewrite_with: str | None = None,
    model: str | None = None,
) -> int:
    """Make tasks from the commits of a repository that change both source and tests.

    Follows first parents, newest first. The rest is as in `mine pypi`.

    Args:
        repository: A folder, or a URL.
        suite: The suite's folder; made if it is not there.
        max_commits: Commits to look at.
        since: Only commits after this one.
        limit: Stop when the suite has this many mined tasks.
        split: Of the repository's tasks, where the suite has none of it yet.
        workers: Steps at a time.
        rewrite_with: An OpenAI-compatible endpoint (up to /v1) that improves the statements' prose.
        model: The model's name there.
    """
    from srl_swe.tasks.mining.commits import commit_steps

    found = list(commit_steps(repository, max_commits=max_commits, since=since))
    return _mine(found, suite, limit, None, split, (), workers, rewrite_with, model)


def _mine(
    steps: list[Step],
    suite: Path,
    limit: int | None,
    per_group: int | None,
    split: Split,
    heldout: Iterable[str],
    workers: int,
    rewrite_with: str | None,
    model: str | None,
) -> int:
    from srl_swe.tasks.mining.journal import Journal
    from srl_swe.tasks.mining.run import Miner, mine

    if (rewrite_with is None) != (model is None):
        raise ConfigError("--rewrite-with and --model go together")
    ask = _asking(rewrite_with, model) if rewrite_with is not None and model is not None else None
    sweep_first()
    miner = Miner(suite=suite, split_of=_splits(suite, split, heldout), ask=ask)
    done = {step.key for step in steps} & set(Journal(suite).rows)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    counts: Counter[str] = Counter()
    with Progress(*columns, console=console(stderr=True)) as progress:
        bar = progress.add_task("steps", total=len(steps), completed=len(done))

        def report(result: MiningResult) -> None:
            counts[result.outcome] += 1
            words = f"{result.key}  {result.outcome}  {result.task or result.reason}  ({result.seconds:.1f} s)"
            progress.console.print(words, markup=False)
            progress.update(bar, advance=1, description=f"steps: {counts['kept']} kept, {counts['refused']} refused")

        results = mine(steps, miner, workers=workers, limit=limit, per_group=per_group, on_result=report)
    return _summarise(steps, results, Journal(suite).rows)


def _asking(url: str, model: str) -> Ask:
    from srl_swe.policies.endpoint import ChatEndpoint

    endpoint = ChatEndpoint(url, model, max_tokens=8192)
    return lambda messages: endpoint.answer(messages, temperature=0.0).text


def _summarise(steps: list[Step], results: list[MiningResult], rows: dict[str, dict[str, object]]) -> int:
    keys = [step.key for step in steps]
    refused = [(key, rows[key]["reason"]) for key in keys if key in rows and rows[key]["outcome"] == "refused"]
    kept = [key for key in keys if key in rows and rows[key]["outcome"] == "kept"]
    failed = [(result.key, result.reason) for result in results if result.outcome == "failed"]
    if refused:
        print_table(["step", "refused because"], refused)
    if failed:
        print_table(["step", "could not be tried"], failed, title="failed: run the same command again")
    remarks = [(result.task, result.reason) for result in results if result.outcome == "kept" and result.reason]
    if remarks:
        print_table(["task", "its rewritten statement was not taken"], remarks)
    untried = len(keys) - len(kept) - len(refused) - len(failed)
    console().print(f"{len(kept)} kept, {len(refused)} refused, {len(failed)} failed, {untried} not tried")
    return 2 if failed else 0


def _splits(suite: Path, split: Split, heldout: Iterable[str]) -> Callable[[str], Split]:
    """A repository's split: as the suite's own rule says, or that of its tasks there, or as the user says."""
    import tomllib

    from packaging.utils import canonicalize_name

    from srl_swe.tasks.folder import read_suite

    file = suite / "suite.toml"
    try:
        rule = tomllib.loads(file.read_text("utf-8")).get("split", {}) if file.is_file() else {}
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None
    there = read_suite(suite) if any((suite / "tasks").glob("*/task.toml")) else []
    known: dict[str, Split] = {task.repository: task.split for task in there}
    known |= {str(canonicalize_name(name)): "heldout" for name in heldout}
    if rule.get("by") == "repository":
        known, split = dict.fromkeys(rule.get("heldout", ()), "heldout"), "train"
    return lambda repository: known.get(repository, split)
