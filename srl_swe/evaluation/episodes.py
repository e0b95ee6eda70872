"""One episode: an environment, who it is for, and what has happened in it so far."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from srl_swe.environments.actions import parse_action
from srl_swe.errors import ContextLengthError, EngineUnavailableError, InfrastructureError, MalformedActionError
from srl_swe.records import ChatAnswer, Ending, EpisodeResult, Message, PreparedTask, Verdict


class Environment(Protocol):
    """What an episode needs of a gymnasium environment with text actions."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]: ...

    def step(self, action: str, /) -> tuple[str, Any, bool, bool, dict[str, Any]]: ...

    def close(self) -> None: ...

    def patch(self) -> str:
        """The student's change so far; empty where there is nothing to change."""
        ...


EnvironmentFactory = Callable[[PreparedTask, int], Environment]
"""Make, but not yet start, the environment of a task with a step limit."""

Ask = Callable[[tuple[Message, ...], PreparedTask], ChatAnswer]
"""Get an answer to a conversation."""


def repo_environment(prepared: PreparedTask, max_steps: int, *, backend: str = "docker", **options: Any) -> Environment:
    """The environment of a task whose image is already built; ``options`` as `RepoEnv` has them."""
    from srl_swe.environments.repo import RepoEnv  # brings the docker client along, half a second of import

    return RepoEnv(tasks=[prepared], max_steps=max_steps, backend=backend, **options)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One episode to be run."""

    prepared: PreparedTask
    """The task."""
    greedy: bool = False
    """Whether the most likely answers are taken."""
    sample: int = 0
    """Which of the task's drawn episodes."""

    @property
    def key(self) -> tuple[str, bool, int]:
        """As `EpisodeResult.key`."""
        return self.prepared.task.task_id, self.greedy, self.sample


class RunningEpisode(Protocol):
    """What the runner needs of an episode, whoever acts in it."""

    @property
    def failure(self) -> str | None:
        """What failed that is not the doing of whoever acts; ``None``: nothing."""

    def run(self) -> None:
        """Go through it to its end, and close its world.

        Raises:
            ConfigError: no episode can be run this way.
            EngineUnavailableError: no episode can be run at all.
        """

    def close(self) -> None:
        """Close its world, also under a `run` that another thread is in."""

    def result(self, policy: str) -> EpisodeResult:
        """The line of ``results.jsonl``."""

    def record(self, policy: str) -> dict[str, Any]:
        """The line of ``transcripts.jsonl``."""


@dataclass(kw_only=True)
class Episode:
    """A conversation with an environment. `run` is called once; `close` may come from another thread meanwhile."""

    job: Job
    """What it is."""
    environment: Environment
    """Its world."""
    ask: Ask
    """Whoever acts."""
    seed: int = 0
    """Of the environment."""
    conversation: tuple[Message, ...] = ()
    """The chat so far."""
    transcript: list[dict[str, Any]] = field(default_factory=list)
    """What was answered and what came back, a step each."""
    answers: list[ChatAnswer] = field(default_factory=list)
    """What was answered, with its counts."""
    malformed: int = 0
    """Answers that held no action."""
    ending: Ending | None = None
    """Why it ended; ``None`` while it runs."""
    verdict: Verdict | None = None
    """What grading found, of a change to a repository."""
    solved: bool = False
    """Whether it was solved, as the environment's score or its verdict says."""
    final_answer: str | None = None
    """The answer that was given, where the task asks for one."""
    patch: str = ""
    """The student's change at the end."""
    failure: str | None = None
    """What failed that is not the student's doing."""
    seconds: float = 0.0
    """How long it took."""

    def run(self) -> None:
        """See `RunningEpisode.run`."""
        started = time.monotonic()
        try:
            with self._failures():
                task_id = self.job.prepared.task.task_id
                _, info = self.environment.reset(seed=self.seed, options={"task": task_id})
                self.conversation = tuple(info["messages"])
                while self.ending is None:
                    self._take(self.ask(self.conversation, self.job.prepared))
        finally:
            self.close()
            self.seconds = round(time.monotonic() - started, 3)

    def close(self) -> None:
        """Close the world; what fails here is for the next sweep, not a reason to lose a result."""
        with contextlib.suppress(InfrastructureError):
            self.environment.close()

    def result(self, policy: str) -> EpisodeResult:
        """See `RunningEpisode.result`."""
        assert self.ending is not None
        task, failed = self.job.prepared.task, self.failure is not None
        return EpisodeResult(
            task_id=task.task_id,
            repository=task.repository,
            split=task.split,
            policy=policy,
            solved=None if failed else self.solved,
            ending=self.ending,
            steps=len(self.transcript),
            malformed=self.malformed,
            seconds=self.seconds,
            patch=self.patch,
            tampering=self.verdict.tampering if self.verdict else (),
            error=self.failure,
            greedy=self.job.greedy,
            sample=self.job.sample,
            prompt_tokens=_total([answer.prompt_tokens for answer in self.answers]),
            completion_tokens=_total([answer.completion_tokens for answer in self.answers]),
            logprob=_total([answer.logprob for answer in self.answers]),
            cost=_total([answer.cost for answer in self.answers]),
            answer=self.final_answer,
        )

    def record(self, policy: str) -> dict[str, Any]:
        """The line of ``transcripts.jsonl``: the result without the patch, and every step."""
        verdict = self.verdict
        tests = {name: str(outcome) for name, outcome in verdict.outcomes.items()} if verdict else {}
        more = {"problem": self.job.prepared.task.problem_statement, "tests": tests, "transcript": self.transcript}
        return without_patch(self.result(policy)) | more

    def _take(self, answer: ChatAnswer) -> None:
        """Give an answer to the environment."""
        try:
            thought, action = parse_action(answer.text)
            command: str | None = action.command
        except MalformedActionError:
            thought, command = "", None
        observation, _, terminated, truncated, info = self.environment.step(answer.text)
        # Where answers are no commands, only the environment knows which are malformed.
        self.malformed = info.get("malformed", self.malformed + (command is None))
        self.conversation = tuple(info["messages"])
        self.answers.append(answer)
        self.transcript.append(
            {
                "answer": answer.text,
                "thought": thought,
                "action": command,
                "observation": observation,
                "finish_reason": answer.finish_reason,
                "prompt_tokens": answer.prompt_tokens,
                "completion_tokens": answer.completion_tokens,
                "logprob": answer.logprob,
            }
        )
        if terminated or truncated:
            self._end(info, truncated=truncated)

    def _end(self, info: dict[str, Any], *, truncated: bool) -> None:
        self.verdict = info.get("verdict")
        score = info.get("score")
        solved = self.verdict.solved if self.verdict else (None if score is None else score.value)
        ending = info.get("ending") or (Ending.STEP_LIMIT if truncated else Ending.SUBMITTED)
        unjudged = solved is None and (self.verdict is not None or score is not None)
        if ending.is_error() or unjudged:
            why = self.verdict.infrastructure if self.verdict else None
            self._fail(why or str(info.get("error") or "the environment ended the episode with no reason"))
            return
        self.solved = bool(solved == 1)
        self.final_answer = info.get("answer")
        self._finish(ending)

    def _finish(self, ending: Ending) -> None:
        self.ending = ending
        # At a limit the verdict does not hang on it.
        with contextlib.suppress(InfrastructureError):
            self.patch = self.environment.patch()

    def _fail(self, why: str) -> None:
        self.ending, self.failure = Ending.INFRASTRUCTURE, why

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except EngineUnavailableError:
            raise
        except ContextLengthError:
            self._finish(Ending.CONTEXT_LIMIT)
        except InfrastructureError as error:
            self._fail(f"{type(error).__name__}: {error}")


def without_patch(result: EpisodeResult) -> dict[str, Any]:
    """A result's fields for ``transcripts.jsonl``."""
    fields = dataclasses.asdict(result)
    del fields["patch"]
    return fields


def _total(values: list[Any]) -> Any:
    """Their sum; ``None`` where there are none, or one is not known."""
    if not values or any(value is None for value in values):
        return None
    return round(sum(values), 6)
