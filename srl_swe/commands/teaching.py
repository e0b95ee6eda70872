"""``srl-swe experts generate`` and ``srl-swe experts from-episodes``: trajectories that a model has made."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
    from srl_swe.experts.generation import Budget

Files = Annotated[tuple[Path, ...], tyro.conf.UseAppendAction]
Workers = Annotated[int, tyro.conf.arg(aliases=["-j"])]


@dataclass(frozen=True, kw_only=True, slots=True)
class TeachingOptions:
    """How a teacher is asked, and what is kept of its work."""

    endpoint: str
    """Base URL of a server with OpenAI's chat completions, such as http://localhost:8000/v1."""
    model: str
    """The model's name, as the server knows it."""
    to: Path
    """The trajectory file."""
    split: Split = "train"
    """Tasks of this split."""
    task: TaskIds = ()
    """Only this task; may be given several times."""
    attempts: int = 3
    """Most attempts a task."""
    temperatures: str = "0.2,0.7,1.0"
    """Of the first, second ... attempt, over and over."""
    enough: int = 2
    """Solved attempts after which a task is left."""
    keep: int = 1
    """Most trajectories kept of a task: the shortest, of those the one that agrees most with the other solved."""
    max_steps: int = 40
    """Most answers an attempt."""
    history: int | None = None
    """Action-observation pairs that the teacher sees; None for all."""
    observation_chars: int = 6000
    """Longest observation that the teacher sees."""
    max_tokens: int = 2048
    """Most tokens of an answer."""
    timeout_s: float = 300.0
    """Seconds a request may take."""
    token_budget: int | None = None
    """Most tokens, read and written, for this file, earlier calls included."""
    cost_per_million_in: float | None = None
    """Price of a million tokens read."""
    cost_per_million_out: float | None = None
    """Price of a million tokens written."""
    cost_limit: float | None = None
    """Most money for this file, earlier calls included."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the server's key."""
    workers: Workers = 2
    """Tasks at a time."""
    backend: str = "docker"
    """Where sandboxes run: docker, docker:RUNTIME, podman, bubblewrap, or one that a package adds."""

    def budget(self) -> Budget:
        """What may be spent.

        Raises:
            ConfigError: it contradicts itself.
        """
        from srl_swe.experts.generation import Budget

        budget = Budget(
            tokens=self.token_budget,
            cost=self.cost_limit,
            per_million_in=self.cost_per_million_in,
            per_million_out=self.cost_per_million_out,
        )
        budget.check()
        return budget


def generate(suites: Suites = (), *, options: Annotated[TeachingOptions, tyro.conf.arg(name="")]) -> int:
    """Let a teacher model solve tasks, and keep what the hidden tests accept. Exits with 1 if a task has none.

    Beside the file are FILE.attempts.jsonl, from which the same command goes on, and FILE.rejected.jsonl.

    Args:
        suites: Suite folders; every one in envs/ by default.
        options: How.
    """
    from srl_swe.experts import generation
    from srl_swe.experts.teaching import Setting
    from srl_swe.policies.endpoint import ChatEndpoint

    ladder, budget = _numbers(options.temperatures), options.budget()
    teacher = ChatEndpoint(
        options.endpoint,
        options.model,
        api_key_env=options.api_key_env,
        max_tokens=options.max_tokens,
        timeout_s=options.timeout_s,
    )
    seen = Setting(max_steps=options.max_steps, history=options.history, observation_chars=options.observation_chars)
    tasks = read_tasks(suites, split=options.split, ids=options.task)
    sweep_first(options.backend)
    prepared = prepare_all(tasks, options.backend)
    with _progress(len(tasks), options.attempts) as show:
        tried = generation.generate(
            prepared,
            teacher,
            options.to,
            attempts=options.attempts,
            temperatures=ladder,
            enough=options.enough,
            keep=options.keep,
            setting=seen,
            budget=budget,
            jobs=options.workers,
            backend=options.backend,
            on_progress=show,
        )
    return _print_attempts([prepared_task.task.task_id for prepared_task in prepared], tried, options.to)


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
    from srl_swe.experts.attempts import SPENT
    from srl_swe.experts.generation import rejected_path

    rows = [_task_row(task_id, [a for a in tried if a.task_id == task_id]) for task_id in task_ids]
    print_table(["task", "solved", "steps of the best", "agreement", "tokens", "not kept"], rows)
    without = len(set(task_ids) - {attempted.task_id for attempted in tried if attempted.outcome == "solved"})
    costs = [attempted.cost for attempted in tried if attempted.cost is not None]
    paid = f", cost {sum(costs):.4f}" if costs else ""
    tokens = sum(attempted.tokens for attempted in tried)
    console().print(f"{len(task_ids) - without} of {len(task_ids)} tasks solved; {tokens:,} tokens{paid}", markup=False)
    for path in (to, rejected_path(to)):
        if path.exists():
            console().print(f"written: {path}", markup=False)
    if lost := sum(attempted.outcome == "infrastructure" for attempted in tried):
        console(stderr=True).print(f"{lost} attempts were spoiled by the infrastructure and not judged", style="yellow")
    judged = {attempted.key for attempted in tried if attempted.judged}
    stopped = [attempted for attempted in tried if attempted.outcome == "stopped" and attempted.key not in judged]
    if any(attempted.reason == SPENT for attempted in stopped):
        console(stderr=True).print("the budget was used up; with a larger one the same command goes on", style="yellow")
    return 1 if without else 0


def _task_row(task_id: str, own: Sequence[Attempted]) -> tuple[object, ...]:
    from srl_swe.experts.generation import rank

    solved = [attempted for attempted in own if attempted.outcome == "solved"]
    best, share = rank(solved)[0] if solved else (None, None)
    others = Counter(attempted.outcome for attempted in own if attempted.outcome != "solved")
    return (
        task_id,
        f"{len(solved)} of {sum(attempted.judged for attempted in own)}",
        len(best.steps) if best else "",
        "" if share is None else f"{share:.2f}",
        f"{sum(attempted.tokens for attempted in own):,}",
        ", ".join(f"{count} {outcome}" for outcome, count in sorted(others.items())),
    )


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
