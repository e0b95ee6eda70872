"""``srl-swe experts generate`` and ``srl-swe experts from-episodes``: trajectories that a model has made."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.progress import Progress
from tyro.conf import Positional

from srl_swe.commands.output import BAR, console, print_table, verdict
from srl_swe.commands.suites import Suites, TaskIds, prepare_all, read_tasks, sweep_first
from srl_swe.errors import ConfigError
from srl_swe.records import Split, Trajectory

if TYPE_CHECKING:
    from srl_swe.experts.attempts import Attempted

Files = Annotated[tuple[Path, ...], tyro.conf.UseAppendAction]
Workers = Annotated[int, tyro.conf.arg(aliases=["-j"])]


def generate(
    suites: Suites = (),
    *,
    endpoint: str,
    model: str,
    to: Path,
    split: Split = "train",
    task: TaskIds = (),
    attempts: int = 3,
    temperatures: str = "0.2,0.7,1.0",
    enough: int = 2,
    keep: int = 1,
    max_steps: int = 40,
    history: int | None = None,
    observation_chars: int = 6000,
    max_tokens: int = 2048,
    timeout_s: float = 300.0,
    token_budget: int | None = None,
    cost_per_million_in: float | None = None,
    cost_per_million_out: float | None = None,
    cost_limit: float | None = None,
    api_key_env: str = "OPENAI_API_KEY",
    workers: Workers = 2,
    backend: str = "docker",
) -> int:
    """Let a teacher model solve tasks, and keep what the hidden tests accept. Exits with 1 if a task has none.

    Beside the file are FILE.attempts.jsonl, from which the same command goes on, and FILE.rejected.jsonl.

    Args:
        suites: Suite folders; every one in envs/ by default.
        endpoint: Base URL of a server with OpenAI's chat completions, such as http://localhost:8000/v1.
        model: The model's name, as the server knows it.
        to: The trajectory file.
        split: Tasks of this split.
        task: Only this task; may be given several times.
        attempts: Most attempts a task.
        temperatures: Of the first, second ... attempt, over and over.
        enough: Solved attempts after which a task is left.
        keep: Most trajectories kept of a task: the shortest, of those the one that agrees most with the other solved.
        max_steps: Most answers an attempt.
        history: Action-observation pairs that the teacher sees; None for all.
        observation_chars: Longest observation that the teacher sees.
        max_tokens: Most tokens of an answer.
        timeout_s: Seconds a request may take.
        token_budget: Most tokens, read and written, for this file, earlier calls included.
        cost_per_million_in: Price of a million tokens read.
        cost_per_million_out: Price of a million tokens written.
        cost_limit: Most money for this file, earlier calls included.
        api_key_env: Environment variable that holds the server's key.
        workers: Tasks at a time.
        backend: Where sandboxes run: docker, docker:RUNTIME, podman, bubblewrap, or one that a package adds.
    """
    from srl_swe.experts import generation
    from srl_swe.experts.teaching import Setting
    from srl_swe.policies.endpoint import ChatEndpoint

    ladder = _numbers(temperatures)
    budget = generation.Budget(
        tokens=token_budget,
        cost=cost_limit,
        per_million_in=cost_per_million_in,
        per_million_out=cost_per_million_out,
    )
    budget.check()
    teacher = ChatEndpoint(endpoint, model, api_key_env=api_key_env, max_tokens=max_tokens, timeout_s=timeout_s)
    tasks = read_tasks(suites, split=split, ids=task)
    sweep_first(backend)
    prepared = prepare_all(tasks, backend)
    with _progress(len(tasks), attempts) as show:
        tried = generation.generate(
            prepared,
            teacher,
            to,
            attempts=attempts,
            temperatures=ladder,
            enough=enough,
            keep=keep,
            setting=Setting(max_steps=max_steps, history=history, observation_chars=observation_chars),
            budget=budget,
            jobs=workers,
            backend=backend,
            on_progress=show,
        )
    return _print_attempts([prepared_task.task.task_id for prepared_task in prepared], tried, to)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--temperatures: expected numbers with commas between them, not {text!r}") from error


@contextlib.contextmanager
def _progress(tasks: int, attempts: int) -> Iterator[Callable[[Attempted], None]]:
    counts: Counter[str] = Counter()
    with Progress(*BAR, console=console(stderr=True)) as progress:
        bar = progress.add_task("attempts", total=tasks * attempts)

        def show(attempted: Attempted) -> None:
            counts[attempted.outcome] += 1
            counts["tokens"] += attempted.tokens
            said = f"attempts, {counts['solved']} solved, {counts['tokens']:,} tokens"
            progress.update(bar, advance=attempted.judged, description=said)

        yield show


def _print_attempts(task_ids: Sequence[str], tried: Sequence[Attempted], to: Path) -> int:
    from srl_swe.experts.generation import rank, rejected_path

    rows, without = [], 0
    for task_id in task_ids:
        own = [attempted for attempted in tried if attempted.task_id == task_id]
        solved = [attempted for attempted in own if attempted.outcome == "solved"]
        without += not solved
        best, share = rank(solved)[0] if solved else (None, None)
        others = Counter(attempted.outcome for attempted in own if attempted.outcome != "solved")
        rows.append(
            (
                task_id,
                f"{len(solved)} of {sum(attempted.judged for attempted in own)}",
                len(best.steps) if best else "",
                "" if share is None else f"{share:.2f}",
                f"{sum(attempted.tokens for attempted in own):,}",
                ", ".join(f"{count} {outcome}" for outcome, count in sorted(others.items())),
            )
        )
    print_table(["task", "solved", "steps of the best", "agreement", "tokens", "not kept"], rows)
    costs = [attempted.cost for attempted in tried if attempted.cost is not None]
    paid = f", cost {sum(costs):.4f}" if costs else ""
    tokens = sum(attempted.tokens for attempted in tried)
    console().print(f"{len(task_ids) - without} of {len(task_ids)} tasks solved; {tokens:,} tokens{paid}", markup=False)
    for path in (to, rejected_path(to)):
        if path.exists():
            console().print(f"written: {path}", markup=False)
    if lost := sum(attempted.outcome == "infrastructure" for attempted in tried):
        console(stderr=True).print(f"{lost} attempts were spoiled by the infrastructure and not judged", style="yellow")
    if any(attempted.reason == "the budget was used up" for attempted in tried):
        console(stderr=True).print("the budget was used up; with a larger one the same command goes on", style="yellow")
    return 1 if without else 0


def from_episodes(
    results: Positional[tuple[Path, ...]],
    *,
    to: Path,
    round: int = 1,
    earlier: Files = (),
    threshold: float = 0.9,
    per_task: int = 2,
) -> int:
    """Make trajectories of a student's own solved episodes, for its next round. Exits with 1 if there are none.

    Held-out tasks are refused. Of near duplicates only the shortest is kept.

    Args:
        results: Folders that srl-swe eval wrote.
        to: The trajectory file.
        round: Which round of self-improvement this is, for the provenance.
        earlier: Trajectory files that are trained on already; may be given several times.
        threshold: Similarity of actions, of the same task, from which two are near duplicates.
        per_task: Most trajectories of a task, the earlier ones included.
    """
    from srl_swe.evaluation.lines import read_meta
    from srl_swe.evaluation.runner import META, TRANSCRIPTS
    from srl_swe.experts.diversity import diverse
    from srl_swe.experts.self_improvement import Refused, trajectories_of_episodes
    from srl_swe.experts.trajectories import read_trajectories, write_trajectories
    from srl_swe.files import read_lines

    if not 0 < threshold <= 1:
        raise ConfigError(f"--threshold must be above 0 and at most 1, got {threshold}")
    if per_task < 1:
        raise ConfigError(f"--per-task must be at least 1, got {per_task}")
    solved: list[Trajectory] = []
    refused: list[Refused] = []
    for folder in results:
        file = folder / TRANSCRIPTS
        if not (records := read_lines(file)):
            raise ConfigError(f"{file}: holds no episode; expected a folder that srl-swe eval wrote")
        hashes = read_meta(folder / META).get("episodes", {}).get("tasks", {})
        first = len(solved) + len(refused)
        good, bad = trajectories_of_episodes(records, hashes, round_number=round, first=first, where=str(file))
        solved += good
        refused += bad
    known = [trajectory for file in earlier for trajectory in read_trajectories(file)]
    kept, dropped = diverse(solved, threshold=threshold, per_task=per_task, earlier=known)
    rows = [(t.task_id, verdict(True, yes="kept"), f"{len(t.steps)} steps") for t in kept]
    rows += [(d.trajectory.task_id, verdict(None, unknown="dropped"), d.reason) for d in dropped]
    rows += [(r.task_id, verdict(False, no="refused"), r.reason) for r in refused]
    print_table(["task", "episode", "why"], rows)
    if all(r.reason == "held-out task" for r in refused) and not solved:
        raise ConfigError("all episodes are of held-out tasks, which are never trained on; evaluate with --split train")
    if kept:
        write_trajectories(to, kept)
        console().print(f"{len(kept)} of {len(solved) + len(refused)} episodes written: {to}", markup=False)
    return 0 if kept else 1
