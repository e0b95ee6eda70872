"""A teacher at work: a language model that is asked step by step, in the environment that its student will see."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from srl_swe.environments.actions import parse_action
from srl_swe.environments.prompts import SYSTEM_PROMPT
from srl_swe.environments.repo import RepoEnv
from srl_swe.errors import ContextLengthError, EngineUnavailableError, InfrastructureError, MalformedActionError
from srl_swe.records import ChatAnswer, Ending, Message, PreparedTask, Step, Verdict

_MOST_MALFORMED = 5


class Teacher(Protocol):
    """Whoever answers a chat. Used by several threads at once."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def host(self) -> str:
        """Where it runs."""

    def answer(self, messages: Sequence[Message], *, temperature: float) -> ChatAnswer:
        """Return one answer.

        Raises:
            InfrastructureError: there is none.
        """

    def close(self) -> None:
        """End the calls under way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """How a teacher is asked."""

    max_steps: int = 40
    """Most answers an episode."""
    history: int | None = None
    """Action-observation pairs that it sees; ``None``: all, as a teacher has a longer context than a student."""
    observation_chars: int = 6000
    """Longest observation that it sees."""
    problem_chars: int = 12000
    """Longest problem statement that it sees."""

    @property
    def prompt_version(self) -> str:
        """Changes with whatever changes the teacher's prompts."""
        said = [SYSTEM_PROMPT, self.history, self.observation_chars, self.problem_chars]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]


@dataclass(kw_only=True, slots=True)
class Attempt:
    """One episode of a teacher, as far as it came."""

    steps: list[Step] = field(default_factory=list)
    """What was run. Malformed answers are left out: they changed nothing."""
    malformed: int = 0
    """Answers without exactly one action."""
    ending: Ending | None = None
    """``None``: it was stopped, by a limit on tokens or on cost, or by the caller."""
    verdict: Verdict | None = None
    """What grading found, where it came to that."""
    prompt_tokens: int = 0
    """Tokens that the teacher read."""
    completion_tokens: int = 0
    """Tokens that the teacher wrote."""
    uncounted: int = 0
    """Answers whose tokens the server did not count."""
    error: str | None = None
    """The failure of the world, where there was one."""
    seconds: float = 0.0
    """Wall-clock seconds."""


def attempt_task(
    prepared: PreparedTask,
    teacher: Teacher,
    *,
    temperature: float,
    may_go_on: Callable[[Attempt], bool],
    environment: RepoEnv,
) -> Attempt:
    """Let a teacher work on a task until it submits, or something stops it.

    Args:
        prepared: The task.
        teacher: Who acts.
        temperature: Of its answers.
        may_go_on: Asked before every answer.
        environment: The task's, from `teaching_environment`; closed at the end.

    Raises:
        ConfigError: the teacher's server refuses to serve at all.
        EngineUnavailableError: no episode can be run at all.
    """
    attempt, started = Attempt(), time.monotonic()
    try:
        _, info = environment.reset(options={"task": prepared.task.task_id})
        while attempt.ending is None and may_go_on(attempt):
            answer = teacher.answer(info["messages"], temperature=temperature)
            _count(attempt, answer)
            observation, _, _, _, info = environment.step(answer.text)
            _note(attempt, answer.text, observation)
            attempt.ending, attempt.verdict, attempt.error = info["ending"], info["verdict"], info["error"]
            if attempt.ending is None and attempt.malformed >= _MOST_MALFORMED:
                attempt.ending = Ending.MALFORMED
    except EngineUnavailableError:
        raise
    except ContextLengthError:
        attempt.ending = Ending.CONTEXT_LIMIT
    except InfrastructureError as error:
        attempt.ending, attempt.error = Ending.INFRASTRUCTURE, f"{type(error).__name__}: {error}"
    finally:
        environment.close()
        attempt.seconds = round(time.monotonic() - started, 3)
    return attempt


def teaching_environment(prepared: PreparedTask, setting: Setting, *, backend: str = "docker") -> RepoEnv:
    """The student's environment with a teacher's view of it, not yet reset."""
    return RepoEnv(
        tasks=[prepared],
        max_steps=setting.max_steps,
        history=setting.history,
        observation_chars=setting.observation_chars,
        problem_chars=setting.problem_chars,
        backend=backend,
    )


def _count(attempt: Attempt, answer: ChatAnswer) -> None:
    attempt.uncounted += answer.prompt_tokens is None or answer.completion_tokens is None
    attempt.prompt_tokens += answer.prompt_tokens or 0
    attempt.completion_tokens += answer.completion_tokens or 0


def _note(attempt: Attempt, answer: str, observation: str) -> None:
    try:
        thought, action = parse_action(answer)
    except MalformedActionError:
        attempt.malformed += 1
        return
    attempt.steps.append(Step(thought=thought, action=action.command, observation=observation))
