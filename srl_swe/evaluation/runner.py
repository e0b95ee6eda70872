"""Run a policy over tasks: episodes side by side, results on the disk as they come, resumed where they were cut off.

Episodes go in lockstep: every wave asks the policy for all live conversations in one batch, then lets the environments
act, each in a thread; an episode that has ended is written and replaced by the next task. ``OUT`` then holds

- ``meta.json``: what was run, which must be the same when the folder is resumed,
- ``results.jsonl``: an `EpisodeResult` a line,
- ``transcripts.jsonl``: what was said and done in each.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from srl_swe import __version__
from srl_swe.environments.episode_waves import EpisodeWaves, Start
from srl_swe.environments.episodes import EnvironmentFactory, Episode, repo_environment
from srl_swe.errors import ConfigError
from srl_swe.evaluation.lines import check_meta, keep_lines
from srl_swe.evaluation.statistics import Interval, wilson
from srl_swe.files import append_line, read_lines
from srl_swe.policies.protocol import Policy
from srl_swe.records import Ending, EpisodeResult, PreparedTask

RESULTS = "results.jsonl"
TRANSCRIPTS = "transcripts.jsonl"
META = "meta.json"


def evaluate(
    policy: Policy,
    tasks: Sequence[PreparedTask],
    out: Path,
    *,
    max_steps: int = 30,
    concurrency: int = 4,
    seed: int = 0,
    split: str | None = None,
    settings: Mapping[str, Any] | None = None,
    environments: EnvironmentFactory = repo_environment,
    console: Console | None = None,
) -> list[EpisodeResult]:
    """Run one episode a task, or what is left of them, and return all results in the order of ``tasks``.

    An infrastructure failure is tried once more, at the end; the second one is written with ``solved`` ``None``, and
    run again when the folder is resumed.

    Args:
        policy: Who acts.
        tasks: What to work on, each once.
        out: Where results go. It may hold some already, of the same policy, tasks and limits.
        max_steps: Most actions an episode.
        concurrency: Most environments open at a time.
        seed: Seed of the environments.
        split: Named in ``meta.json``.
        settings: What else the results hang on, such as the sampling temperature; kept in ``meta.json`` too.
        environments: Makes the environment of a task; real containers unless told otherwise.
        console: Where the progress bar goes; ``None``: nowhere.

    Raises:
        ConfigError: ``out`` holds results of something else, or the tasks are not distinct.
        EngineUnavailableError: no container engine answers.
        StorageError: ``out`` cannot be written.
    """
    ids = [prepared.task.task_id for prepared in tasks]
    if len(set(ids)) != len(ids):
        raise ConfigError(f"tasks: {next(i for i in ids if ids.count(i) > 1)} occurs twice")
    if max_steps < 1 or concurrency < 1:
        raise ConfigError(f"max_steps ({max_steps}) and concurrency ({concurrency}) must be at least 1")
    limits = {"max_steps": max_steps, "seed": seed, "split": split, **(settings or {})}
    check_meta(out / META, "episodes", _meta(policy, tasks, limits))
    done = {result.task_id: result for result in resume(out)}
    run = _Run(policy, out, done)
    waves = EpisodeWaves(run.answer, environments, max_steps=max_steps, concurrency=concurrency, seed=seed)
    waiting = deque(Start(prepared=prepared) for prepared in tasks if prepared.task.task_id not in done)
    with _progress(console, total=len(tasks)) as show, contextlib.closing(waves.run(waiting)) as ended:
        show(done)
        for episode in ended:
            run.write(episode)
            show(done)
    return [done[task_id] for task_id in ids]


def resume(out: Path) -> list[EpisodeResult]:
    """The finished results of a folder; drops from the disk a line cut off by a kill, and infrastructure failures."""
    path = out / RESULTS
    results = [parse_result(r, path) for r in keep_lines(path, lambda r: r.get("solved") is not None)]
    finished = {result.task_id for result in results}
    seen: set[str] = set()

    def keep(record: dict[str, Any]) -> bool:
        first = record.get("task_id") in finished and record["task_id"] not in seen
        seen.add(record.get("task_id", ""))
        return first

    keep_lines(out / TRANSCRIPTS, keep)
    return results


def read_results(out: Path) -> list[EpisodeResult]:
    """The results of a folder, as they stand.

    Raises:
        ConfigError: a line is not a result.
    """
    return [parse_result(record, out / RESULTS) for record in read_lines(out / RESULTS)]


def parse_result(record: dict[str, Any], path: Path) -> EpisodeResult:
    """A line of ``results.jsonl``.

    Raises:
        ConfigError: it is not a result; the file is named.
    """
    try:
        return EpisodeResult(
            **record | {"ending": Ending(record["ending"]), "tampering": tuple(record.get("tampering", ()))}
        )
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"{path}: a line is not an episode's result: {error}") from error


def solve_rate(results: Sequence[EpisodeResult]) -> Interval:
    """Solved of those that could be judged, with Wilson's interval."""
    judged = [result for result in results if result.solved is not None]
    return wilson(sum(bool(result.solved) for result in judged), len(judged))


def _meta(policy: Policy, tasks: Sequence[PreparedTask], settings: Mapping[str, Any]) -> dict[str, Any]:
    hashes = {prepared.task.task_id: prepared.task.content_hash for prepared in tasks}
    return dict(settings) | {"policy": policy.name, "tasks": hashes, "version": __version__}


class _Run:
    """Who acts, and what is written of it."""

    def __init__(self, policy: Policy, out: Path, done: dict[str, EpisodeResult]) -> None:
        self.policy, self.out, self.done = policy, out, done

    def answer(self, episodes: Sequence[Episode]) -> list[str]:
        """Ask the policy for all live episodes at once."""
        return self.policy.act([e.conversation for e in episodes], [e.prepared for e in episodes])

    def write(self, episode: Episode) -> None:
        """Put an ended episode on the disk."""
        result = episode.result(self.policy.name)
        # The transcript first: a result without one would never get it, one without a result is dropped on resume.
        append_line(self.out / TRANSCRIPTS, episode.record(self.policy.name))
        append_line(self.out / RESULTS, dataclasses.asdict(result))
        self.done[result.task_id] = result


@contextlib.contextmanager
def _progress(console: Console | None, *, total: int) -> Iterator[Callable[[dict[str, EpisodeResult]], None]]:
    if console is None:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar: TaskID = progress.add_task("episodes", total=total)

        def show(done: dict[str, EpisodeResult]) -> None:
            solved = sum(bool(result.solved) for result in done.values())
            progress.update(bar, completed=len(done), description=f"episodes, {solved} solved")

        yield show
