"""Run a policy over tasks: many episodes at once, results on the disk as they come, resumed where they were cut off.

Each episode has a thread of its own; a policy on this machine answers whoever is waiting in one batch (continuous
batching, see `srl_swe.policies.batching`), one elsewhere is asked by every episode for itself. ``OUT`` then holds

- ``meta.json``: what was run, which must be the same when the folder is resumed,
- ``results.jsonl``: an `EpisodeResult` a line: one for each task and sample,
- ``transcripts.jsonl``: what was said and done in each.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from srl_swe import __version__
from srl_swe.environments.episodes import EnvironmentFactory, Episode, repo_environment
from srl_swe.errors import ConfigError
from srl_swe.evaluation.jobs import Job, RunningEpisode, plan
from srl_swe.evaluation.lines import check_meta, keep_lines, note_meta
from srl_swe.evaluation.statistics import Interval, mean_rate
from srl_swe.files import append_line, read_lines
from srl_swe.policies.batching import AnswerBatcher
from srl_swe.policies.protocol import Policy, RemotePolicy
from srl_swe.policies.scripted import ExpertPolicy
from srl_swe.records import ChatAnswer, Ending, EpisodeResult, Message, PreparedTask

RESULTS = "results.jsonl"
TRANSCRIPTS = "transcripts.jsonl"
META = "meta.json"

Key = tuple[str, bool, int]
"""Which episode: `EpisodeResult.key`."""
Begin = Callable[[Job], RunningEpisode]
"""Make an episode, and start nothing."""


def evaluate(
    policy: Policy | RemotePolicy,
    tasks: Sequence[PreparedTask],
    out: Path,
    *,
    samples: int = 1,
    greedy: Policy | RemotePolicy | None = None,
    max_steps: int = 30,
    concurrency: int = 4,
    seed: int = 0,
    split: str | None = None,
    settings: Mapping[str, Any] | None = None,
    starts: Mapping[str, dict[str, Any]] | None = None,
    environments: EnvironmentFactory = repo_environment,
    console: Console | None = None,
) -> list[EpisodeResult]:
    """Run the episodes of every task, or what is left of them, and return their results in the order of ``tasks``.

    An infrastructure failure is tried once more, at the end; the second one is written with ``solved`` ``None``, and
    run again when the folder is resumed.

    Args:
        policy: Who acts.
        tasks: What to work on, each once.
        out: Where results go. It may hold some already, of the same policy, tasks and limits; more samples may be
            asked for than before.
        samples: Episodes a task in which ``policy`` acts.
        greedy: The same policy with its most likely answers: acts in one more episode a task.
        max_steps: Most actions an episode.
        concurrency: Most environments open at a time.
        seed: Seed of the environments.
        split: Named in ``meta.json``.
        settings: What else the results hang on, such as the sampling temperature; kept in ``meta.json`` too.
        starts: Options of the reset by task id: the expert's ``trajectory``, and at which ``step`` of it an episode
            starts. The steps are kept in ``meta.json`` too.
        environments: Makes the environment of a task; real containers unless told otherwise.
        console: Where the progress bar goes; ``None``: nowhere.

    Raises:
        ConfigError: ``out`` holds results of something else, or an argument is wrong.
        EngineUnavailableError: no container engine answers.
        StorageError: ``out`` cannot be written.
    """
    if max_steps < 1:
        raise ConfigError(f"max_steps ({max_steps}) must be at least 1")
    if samples > 1 and isinstance(policy, ExpertPolicy):
        raise ConfigError("samples: a recording is repeated the same way each time; one sample a task is enough")
    jobs = plan(tasks, samples=samples, greedy=greedy is not None)
    limits = {"max_steps": max_steps, "seed": seed, "split": split, **(settings or {})}
    if starts:
        limits["starts"] = {task: start["step"] for task, start in starts.items()}
    check_meta(out / META, "episodes", describe(policy.name, tasks, limits))
    batcher = AnswerBatcher()
    policies = {False: policy, True: greedy or policy}

    def begin(job: Job) -> Episode:
        environment = environments(job.prepared, max_steps)
        ask = partial(_ask, policies[job.greedy], batcher)
        return Episode(
            prepared=job.prepared,
            environment=environment,
            options=(starts or {}).get(job.prepared.task.task_id, {}),
            greedy=job.greedy,
            sample=job.sample,
            seed=seed + job.sample,
            ask=ask,
        )

    remote = [p for p in policies.values() if isinstance(p, RemotePolicy)]
    run = Run(policy.name, out, begin, concurrency=concurrency, batcher=batcher, stops=[p.close for p in remote])
    return run.all(jobs, console)


def describe(policy: str, tasks: Sequence[PreparedTask], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What ``meta.json`` says of episodes, which must be the same when a folder is resumed."""
    hashes = {prepared.task.task_id: prepared.task.content_hash for prepared in tasks}
    return dict(settings) | {"policy": policy, "tasks": hashes, "version": __version__}


def resume(out: Path) -> list[EpisodeResult]:
    """The finished results of a folder; drops from the disk a line cut off by a kill, and infrastructure failures."""
    path = out / RESULTS
    seen: set[Key] = set()

    def keep_result(record: dict[str, Any]) -> bool:
        return record.get("solved") is not None and _is_first(record, seen)

    results = [parse_result(record, path) for record in keep_lines(path, keep_result)]
    finished = {result.key for result in results}
    told: set[Key] = set()
    keep_lines(out / TRANSCRIPTS, lambda record: _key(record) in finished and _is_first(record, told))
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
    """Mean over tasks of the fraction of judged episodes that solved them, with its 95% interval.

    Of the greedy episodes where there are any, else of the drawn ones; see `srl_swe.evaluation.summary.summarise`.
    """
    tasks: dict[str, list[bool]] = defaultdict(list)
    chosen = [result for result in results if result.greedy] or results
    for result in chosen:
        if result.solved is not None:
            tasks[result.task_id].append(result.solved)
    return mean_rate([sum(found) / len(found) for found in tasks.values()])


class Run:
    """The episodes under way: at most so many at once, each in a thread, and written as they end.

    Args:
        policy: How results name who acts.
        out: Where results go.
        begin: Makes an episode.
        concurrency: Most at a time.
        batcher: Between the episodes and a policy on this machine.
        stops: Called when the run is interrupted, to end what the episodes' threads wait for.

    Raises:
        ConfigError: ``concurrency`` is below 1.
    """

    def __init__(
        self,
        policy: str,
        out: Path,
        begin: Begin,
        *,
        concurrency: int,
        batcher: AnswerBatcher | None = None,
        stops: Sequence[Callable[[], None]] = (),
    ) -> None:
        if concurrency < 1:
            raise ConfigError(f"concurrency ({concurrency}) must be at least 1")
        self._policy, self._out, self._begin = policy, out, begin
        self._concurrency, self._stops = concurrency, stops
        self._batcher = batcher or AnswerBatcher()
        self._live: dict[Future[bool], tuple[Job, RunningEpisode]] = {}
        self._done: dict[Key, EpisodeResult] = {}
        self._writing = threading.Lock()
        self._stopping = False

    def all(self, jobs: Sequence[Job], console: Console | None) -> list[EpisodeResult]:
        """Run what the folder has no result of; return the results of all of them, in order."""
        note_meta(
            self._out / META,
            "plan",
            {"samples": 1 + max((job.sample for job in jobs if not job.greedy), default=-1),
             "greedy": any(job.greedy for job in jobs)},
        )  # fmt: skip
        wanted = {job.key for job in jobs}
        self._done = {result.key: result for result in resume(self._out) if result.key in wanted}
        with _progress(console, total=len(jobs)) as show:
            show(self._done)
            self._run([job for job in jobs if job.key not in self._done], show)
        return [self._done[job.key] for job in jobs]

    def _run(self, jobs: Sequence[Job], show: Callable[[dict[Key, EpisodeResult]], None]) -> None:
        waiting = deque((job, 1) for job in jobs)
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="episode")
        try:
            while waiting or self._live:
                while waiting and len(self._live) < self._concurrency:
                    self._start(pool, *waiting.popleft())
                self._batcher.serve(len(self._live))
                for future in [future for future in self._live if future.done()]:
                    job, _ = self._live.pop(future)
                    if future.result():
                        show(self._done)
                    else:
                        waiting.append((job, 2))
        finally:
            # Closing first unblocks the threads that wait for a command or an answer; one that was just opening its
            # world closes it itself.
            self._stop()
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, pool: ThreadPoolExecutor, job: Job, attempt: int) -> None:
        episode = self._begin(job)
        future = pool.submit(self._finish, job, episode, attempt)
        self._live[future] = job, episode
        future.add_done_callback(lambda _: self._batcher.wake())

    def _finish(self, job: Job, episode: RunningEpisode, attempt: int) -> bool:
        """Run an episode and write it down at once, whatever the main thread does; return whether it is done with."""
        episode.run()
        if episode.failure is not None and (attempt == 1 or self._stopping):
            return False
        result = episode.result(self._policy)
        with self._writing:
            # The transcript first: a result without one would never get it, one without a result is dropped on resume.
            append_line(self._out / TRANSCRIPTS, episode.record(self._policy))
            append_line(self._out / RESULTS, dataclasses.asdict(result))
            self._done[job.key] = result
        return True

    def _stop(self) -> None:
        self._stopping = True
        self._batcher.close()
        if self._live:
            for stop in self._stops:
                stop()
        for _, episode in self._live.values():
            episode.close()


def _ask(
    policy: Policy | RemotePolicy, batcher: AnswerBatcher, conversation: tuple[Message, ...], prepared: PreparedTask
) -> ChatAnswer:
    if isinstance(policy, RemotePolicy):
        return policy.answer_one(conversation)
    return batcher.ask(policy, conversation, prepared)


def _key(record: Mapping[str, Any]) -> Key:
    """Of a line; lines of earlier versions have one episode a task."""
    return str(record.get("task_id")), bool(record.get("greedy", False)), int(record.get("sample", 0))


def _is_first(record: Mapping[str, Any], seen: set[Key]) -> bool:
    key = _key(record)
    if key in seen:
        return False
    seen.add(key)
    return True


@contextlib.contextmanager
def _progress(console: Console | None, *, total: int) -> Iterator[Callable[[dict[Key, EpisodeResult]], None]]:
    if console is None:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar: TaskID = progress.add_task("episodes", total=total)

        def show(done: dict[Key, EpisodeResult]) -> None:
            solved = sum(bool(result.solved) for result in list(done.values()))
            progress.update(bar, completed=len(done), description=f"episodes, {solved} solved")

        yield show
