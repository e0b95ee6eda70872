"""One episode: an environment, who it is for, and what has happened in it so far."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from srl_swe.environments.answers import read_answer
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


def repo_environment(
    prepared: PreparedTask, max_steps: int, *, backend: str = "docker", **arguments: Any
) -> Environment:
    """The environment of a task whose image is already built, or of a maths problem.

    ``arguments`` are more of `RepoEnv`'s.
    """
    if prepared.task.domain == "mathematics":
        from srl_swe.environments.mathematics import MathEnv

        return MathEnv(tasks=[prepared])
    from srl_swe.environments.repo import RepoEnv  # brings the docker client along, half a second of import

    return RepoEnv(tasks=[prepared], max_steps=max_steps, backend=backend, **arguments)


@dataclass(kw_only=True)
class Episode:
    """A conversation with an environment, `start` and `advance` at a time, or `run` to its end; a thread at a time.

    `close` may come from another thread meanwhile.
    """

    prepared: PreparedTask
    """The task."""
    environment: Environment
    """Its world."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of the reset, beside the task: where on an expert's way it starts."""
    group: int = 0
    """Which of the caller's groups it belongs to."""
    attempt: int = 1
    """2 after an infrastructure failure."""
    greedy: bool = False
    """See `EpisodeResult.greedy`."""
    sample: int = 0
    """See `EpisodeResult.sample`."""
    seed: int = 0
    """Of the environment, for `run`."""
    ask: Ask | None = None
    """Whoever acts, for `run`."""
    conversation: tuple[Message, ...] = ()
    """The chat so far."""
    transcript: list[dict[str, Any]] = field(default_factory=list)
    """What was answered and what came back, a step each."""
    answers: list[ChatAnswer] = field(default_factory=list)
    """What was answered, with its counts where they are known."""
    malformed: int = 0
    """Answers that held no action."""
    ending: Ending | None = None
    """Why it ended; ``None`` while it runs."""
    verdict: Verdict | None = None
    """What grading found."""
    patch: str = ""
    """The student's change at the end."""
    score: float | None = None
    """The reward at the end; ``None``: there is none."""
    failure: str | None = None
    """What failed that is not the student's doing."""
    started: float = field(default_factory=time.monotonic)
    """When it began."""
    seconds: float = 0.0
    """How long it took."""

    @property
    def is_live(self) -> bool:
        """Whether it waits for an answer."""
        return self.ending is None

    def run(self) -> None:
        """Start, and advance to the end.

        Raises:
            EngineUnavailableError: no episode can be run at all.
        """
        assert self.ask is not None, "nobody acts"
        self.started = time.monotonic()
        try:
            self.start(self.seed)
            while self.is_live:
                try:
                    answer = self.ask(self.conversation, self.prepared)
                except EngineUnavailableError:
                    raise
                except ContextLengthError:
                    self.cut_off(Ending.CONTEXT_LIMIT)
                except InfrastructureError as error:
                    self._fail(f"{type(error).__name__}: {error}")
                else:
                    self.advance(answer)
        finally:
            self.close()

    def start(self, seed: int) -> None:
        """Open the world.

        Raises:
            EngineUnavailableError: no episode can be run at all.
        """
        with self._failures():
            options = {"task": self.prepared.task.task_id}
            _, info = self.environment.reset(seed=seed, options=options | self.options)
            self.conversation = tuple(info["messages"])

    def advance(self, said: str | ChatAnswer) -> None:
        """Give an answer, and close the world if that ended the episode.

        Raises:
            EngineUnavailableError: no episode can be run at all.
        """
        answer = ChatAnswer(text=said) if isinstance(said, str) else said
        with self._failures():
            observation, _, terminated, truncated, info = self.environment.step(answer.text)
            self.conversation = tuple(info["messages"])
            self._note(answer, observation, info)
            if terminated or truncated:
                self._end(info, truncated=truncated)
        if not self.is_live:
            self.close()

    def cut_off(self, ending: Ending) -> None:
        """End it by a limit that is not the environment's: nothing is graded."""
        self.ending = ending
        with contextlib.suppress(InfrastructureError):
            self.patch = self.environment.patch()
        self.close()

    def close(self) -> None:
        """Close the world; what fails here is for the next sweep, not a reason to lose a result."""
        with contextlib.suppress(InfrastructureError):
            self.environment.close()
        self.seconds = self.seconds or round(time.monotonic() - self.started, 3)

    def result(self, policy: str) -> EpisodeResult:
        """The line of ``results.jsonl``."""
        assert self.ending is not None
        task, failed = self.prepared.task, self.failure is not None
        return EpisodeResult(
            task_id=task.task_id,
            repository=task.repository,
            split=task.split,
            policy=policy,
            solved=None if failed else bool(self.verdict and self.verdict.solved),
            ending=self.ending,
            steps=len(self.transcript),
            malformed=self.malformed,
            seconds=self.seconds,
            patch=self.patch,
            tampering=self.verdict.tampering if self.verdict else (),
            error=self.failure,
            greedy=self.greedy,
            sample=self.sample,
            prompt_tokens=_total([answer.prompt_tokens for answer in self.answers]),
            completion_tokens=_total([answer.completion_tokens for answer in self.answers]),
            logprob=_total([answer.logprob for answer in self.answers]),
            cost=_total([answer.cost for answer in self.answers]),
            answer=(self.verdict.answer or None) if self.verdict else None,
            score=None if failed else self.score,
        )

    def record(self, policy: str) -> dict[str, Any]:
        """The line of ``transcripts.jsonl``: the result without the patch, and every step."""
        fields = dataclasses.asdict(self.result(policy))
        del fields["patch"]
        verdict = self.verdict
        tests = {name: str(outcome) for name, outcome in verdict.outcomes.items()} if verdict else {}
        return fields | {"problem": self.prepared.task.problem_statement, "tests": tests, "transcript": self.transcript}

    def _note(self, answer: ChatAnswer, observation: str, info: dict[str, Any]) -> None:
        domain = self.prepared.task.domain
        command: str | None
        try:
            # A repository's answer needs a thought; `MathEnv` takes solutions without one.
            thought, command = read_answer(answer.text, domain=domain, require_thought=domain == "repository")
        except MalformedActionError:
            thought, command = "", None
        # Where answers are no commands, only the environment knows which are malformed.
        self.malformed = info.get("malformed", self.malformed + (command is None))
        self.answers.append(answer)
        step = {"answer": answer.text, "thought": thought, "action": command, "observation": observation}
        counts = dataclasses.asdict(answer)
        self.transcript.append(step | {name: counts[name] for name in counts if name != "text"})

    def _end(self, info: dict[str, Any], *, truncated: bool) -> None:
        self.verdict = info.get("verdict")
        ending = info.get("ending") or (Ending.STEP_LIMIT if truncated else Ending.SUBMITTED)
        failure = self.verdict.infrastructure if self.verdict and self.verdict.solved is None else None
        if ending.is_error() or (self.verdict and self.verdict.solved is None):
            self._fail(failure or str(info.get("error") or "the environment ended the episode with no reason"))
            return
        self.ending = ending
        self.score = info["score"].value if info.get("score") else None
        # At the step limit the verdict does not hang on it.
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
        except InfrastructureError as error:
            self._fail(f"{type(error).__name__}: {error}")
            self.close()


def _total(values: list[Any]) -> Any:
    """Their sum; ``None`` where there are none, or one is not known."""
    if not values or any(value is None for value in values):
        return None
    return round(sum(values), 6)
