"""Generate expert trajectories with a teacher: several attempts a task, the best of those that solved it kept.

A file ``t.jsonl`` has two beside it: ``t.attempts.jsonl``, the journal of everything that was tried, from which the
same call goes on, and ``t.rejected.jsonl``, every attempt that was judged and not kept, with its reason.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import srl_swe
from srl_swe.errors import ConfigError
from srl_swe.experts.attempts import UNJUDGED, Attempted, AttemptJournal, judge
from srl_swe.experts.diversity import agreement
from srl_swe.experts.oracle import license_of
from srl_swe.experts.side_by_side import SideBySide
from srl_swe.experts.teaching import Attempt, Setting, Teacher, attempt_task, teaching_environment
from srl_swe.experts.trajectories import write_trajectories
from srl_swe.files import write_atomically
from srl_swe.records import PreparedTask, Trajectory
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.locks import file_lock

SOURCE = "teacher"
"""The ``source`` of trajectories made here."""
_TRIES = 3  # of an attempt that the world, and not the teacher, spoils


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What may be spent on one file, all calls for it together."""

    tokens: int | None = None
    """Most tokens, read and written; ``None``: no limit."""
    cost: float | None = None
    """Most money; ``None``: no limit."""
    per_million_in: float | None = None
    """Price of a million tokens read."""
    per_million_out: float | None = None
    """Price of a million tokens written."""

    def price(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """What tokens cost; ``None``: no price is known."""
        if self.per_million_in is None or self.per_million_out is None:
            return None
        return (prompt_tokens * self.per_million_in + completion_tokens * self.per_million_out) / 1e6

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ConfigError: naming the option.
        """
        if self.tokens is not None and self.tokens < 1:
            raise ConfigError(f"token budget: must be at least 1, not {self.tokens}")
        for price in (self.per_million_in, self.per_million_out, self.cost):
            if price is not None and price < 0:
                raise ConfigError(f"costs must be at least 0, not {price}")
        if (self.per_million_in is None) != (self.per_million_out is None):
            raise ConfigError("cost per million tokens: give that of input and that of output, or neither")
        if self.cost is not None and self.per_million_in is None:
            raise ConfigError("a cost limit needs the cost per million tokens of input and of output")


def generate(
    prepared_tasks: Sequence[PreparedTask],
    teacher: Teacher,
    out: Path,
    *,
    attempts: int = 3,
    temperatures: Sequence[float] = (0.2, 0.7, 1.0),
    enough: int = 2,
    keep: int = 1,
    setting: Setting | None = None,
    budget: Budget | None = None,
    jobs: int = 2,
    backend: str = "docker",
    on_progress: Callable[[Attempted], None] | None = None,
) -> list[Attempted]:
    """Let a teacher try every task, and write down the best of what the hidden tests accept.

    Interrupted in whatever way, the same call goes on where it stopped; what was asked of the teacher is not asked
    again. An attempt that the world spoils is tried again, three times in all, and never judged.

    Args:
        prepared_tasks: The tasks, all of one split.
        teacher: Who acts; its ``close`` is called when the call is interrupted.
        out: The trajectories. Two files are beside it: see the module.
        attempts: Most attempts a task.
        temperatures: Of the first, second … attempt, over and over.
        enough: Solved attempts after which a task is left.
        keep: Most trajectories kept of a task: the shortest, of those the one that agrees most with the other solved.
        setting: How the teacher is asked.
        budget: What may be spent.
        jobs: Tasks at a time.
        backend: Sandbox backend.
        on_progress: Called after each attempt, from several threads.

    Returns:
        Every attempt at these tasks as they are now, those of earlier calls included.

    Raises:
        ConfigError: an argument is wrong, or ``out`` is something else's, or the server refuses to serve.
        EngineUnavailableError: no container engine answers.
        StorageError: a file cannot be written.
    """
    for name, value in (("attempts", attempts), ("enough", enough), ("keep", keep), ("jobs", jobs)):
        if value < 1:
            raise ConfigError(f"{name}: must be at least 1, not {value}")
    if not temperatures or any(t < 0 for t in temperatures):
        raise ConfigError(f"temperatures: expected numbers from 0, not {list(temperatures)}")
    budget = budget or Budget()
    budget.check()
    if len({prepared.task.split for prepared in prepared_tasks}) > 1:
        raise ConfigError("tasks: those of both splits would go into one file; choose a split")
    name = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
    with file_lock(cache_dir() / f"generating-{name}.lock"):
        journal_path = out.with_suffix(".attempts.jsonl")
        if out.exists() and not journal_path.exists():
            raise ConfigError(f"{out}: is there already, and {journal_path.name}, from which it was made, is not")
        work = _Work(teacher, AttemptJournal(journal_path), setting or Setting(), budget, backend, on_progress)
        wanted = [temperatures[k % len(temperatures)] for k in range(attempts)]
        hashes = {prepared.task.task_id: prepared.task.content_hash for prepared in prepared_tasks}
        try:
            work.run(prepared_tasks, wanted, enough=enough, jobs=jobs)
        finally:
            current = [a for a in work.journal.attempts if hashes.get(a.task_id, a.task_hash) == a.task_hash]
            write_chosen(out, current, keep=keep)
        return [a for a in current if a.task_id in hashes]


def write_chosen(out: Path, attempts: Sequence[Attempted], *, keep: int) -> list[Trajectory]:
    """Write the best trajectories, and beside them the attempts that were judged and not kept."""
    chosen: list[Trajectory] = []
    rejected: list[tuple[Attempted, str]] = []
    for task_id in dict.fromkeys(attempted.task_id for attempted in attempts):
        solved: list[Attempted] = []
        failed: list[Attempted] = []
        for attempted in attempts:
            if attempted.task_id == task_id and attempted.judged:
                (solved if attempted.outcome == "solved" else failed).append(attempted)
        ranked = rank(solved)
        chosen += [_trajectory(attempted, share, len(solved)) for attempted, share in ranked[:keep]]
        rejected += [(attempted, attempted.reason) for attempted in failed]
        rejected += [(attempted, f"solved, but {keep} shorter or more agreed upon") for attempted, _ in ranked[keep:]]
    if chosen:
        write_trajectories(out, chosen)
    elif out.exists():
        out.unlink()  # it was made from the same journal, of tasks that have changed since
    lines = [json.dumps(dataclasses.asdict(attempted) | {"reason": reason}) + "\n" for attempted, reason in rejected]
    if lines or rejected_path(out).exists():
        write_atomically(rejected_path(out), "".join(lines))
    return chosen


def rank(solved: Sequence[Attempted]) -> list[tuple[Attempted, float | None]]:
    """The solved attempts of one task, the best first, each with its agreement with the others."""
    shares = [
        (attempted, agreement(attempted.steps, [other.steps for other in solved if other is not attempted]))
        for attempted in solved
    ]
    return sorted(shares, key=lambda pair: (len(pair[0].steps), -(pair[1] or 0.0), pair[0].attempt))


def rejected_path(out: Path) -> Path:
    """The file of what was not kept, beside the one of what was."""
    return out.with_suffix(".rejected.jsonl")


def _trajectory(attempted: Attempted, share: float | None, solved: int) -> Trajectory:
    provenance = {
        "task_hash": attempted.task_hash,
        "endpoint": attempted.endpoint,
        "temperature": attempted.temperature,
        "attempt": attempted.attempt,
        "prompt_version": attempted.prompt_version,
        "prompt_tokens": attempted.prompt_tokens,
        "completion_tokens": attempted.completion_tokens,
        "cost": attempted.cost,
        "malformed": attempted.malformed,
        "solved_attempts": solved,
        "agreement": None if share is None else round(share, 4),
        "package_version": srl_swe.__version__,
        "license": attempted.license,
    }
    return Trajectory(
        trajectory_id=f"{attempted.task_id}@{attempted.model}-{attempted.prompt_version}-{attempted.attempt}",
        task_id=attempted.task_id,
        split=attempted.split,
        problem_statement=attempted.problem_statement,
        steps=attempted.steps,
        source=SOURCE,
        model=attempted.model,
        resolved=True,
        provenance=provenance,
    )


class _Work:
    """The attempts under way, and what they have spent."""

    def __init__(
        self,
        teacher: Teacher,
        journal: AttemptJournal,
        setting: Setting,
        budget: Budget,
        backend: str,
        on_progress: Callable[[Attempted], None] | None,
    ) -> None:
        self.teacher, self.journal, self.setting, self.budget = teacher, journal, setting, budget
        self.backend, self.on_progress = backend, on_progress
        self.side = SideBySide()
        self.lock = threading.Lock()
        self.live: dict[int, Attempt] = {}

    def run(self, tasks: Sequence[PreparedTask], temperatures: Sequence[float], *, enough: int, jobs: int) -> None:
        # Where it is interrupted, the requests under way end too.
        with self.side.holding(self.teacher):
            self.side.run(lambda task: self._task(task, temperatures, enough), tasks, jobs=jobs, name="teacher")

    def _task(self, prepared: PreparedTask, temperatures: Sequence[float], enough: int) -> None:
        known = {attempted.key: attempted for attempted in self.journal.attempts if attempted.judged}
        solved = 0
        for k, temperature in enumerate(temperatures):
            if solved >= enough:
                return
            key = (prepared.task.task_id, prepared.task.content_hash, self.teacher.model)
            attempted = known.get((*key, self.setting.prompt_version, k, temperature))
            for _ in range(_TRIES):
                if attempted is not None and attempted.judged:
                    break
                if self.side.stopped.is_set() or self._is_spent():
                    return
                attempted = self._attempt(prepared, k, temperature)
                self.journal.add(attempted)
                if self.on_progress is not None:
                    self.on_progress(attempted)
            solved += attempted is not None and attempted.outcome == "solved"

    def _attempt(self, prepared: PreparedTask, k: int, temperature: float) -> Attempted:
        environment = teaching_environment(prepared, self.setting, backend=self.backend)
        with self.side.holding(environment):
            attempt = attempt_task(
                prepared,
                self.teacher,
                temperature=temperature,
                may_go_on=self._may_go_on,
                environment=environment,
            )
        with self.lock:
            self.live.pop(id(attempt), None)
        outcome, reason = judge(attempt)
        if outcome in UNJUDGED and self.side.stopped.is_set():
            outcome, reason = "stopped", "interrupted"
        return Attempted(
            task_id=prepared.task.task_id,
            task_hash=prepared.task.content_hash,
            split=prepared.task.split,
            problem_statement=prepared.task.problem_statement,
            license=license_of(prepared.task),
            attempt=k,
            model=self.teacher.model,
            endpoint=self.teacher.host,
            temperature=temperature,
            prompt_version=self.setting.prompt_version,
            outcome=outcome,
            reason=reason,
            malformed=attempt.malformed,
            prompt_tokens=attempt.prompt_tokens,
            completion_tokens=attempt.completion_tokens,
            cost=self.budget.price(attempt.prompt_tokens, attempt.completion_tokens),
            seconds=attempt.seconds,
            steps=() if outcome in UNJUDGED else tuple(attempt.steps),
        )

    def _may_go_on(self, attempt: Attempt) -> bool:
        if attempt.uncounted and (self.budget.tokens is not None or self.budget.cost is not None):
            raise ConfigError(f"{self.teacher.host}: the server does not count tokens, so no limit on them can be kept")
        with self.lock:
            self.live[id(attempt)] = attempt
        return not self.side.stopped.is_set() and not self._is_spent()

    def _is_spent(self) -> bool:
        """Whether the budget is used up, by all calls so far and the attempts under way."""
        with self.lock:
            live = [(attempt.prompt_tokens, attempt.completion_tokens) for attempt in self.live.values()]
        attempts = self.journal.attempts
        tokens = sum(attempted.tokens for attempted in attempts) + sum(map(sum, live))
        cost = sum(attempted.cost or 0.0 for attempted in attempts)
        cost += sum(self.budget.price(*counts) or 0.0 for counts in live)
        over_tokens = self.budget.tokens is not None and tokens >= self.budget.tokens
        return over_tokens or (self.budget.cost is not None and cost >= self.budget.cost)
