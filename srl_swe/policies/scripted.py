"""Policies without a model: the expert, the gold patch, and doing nothing. They bound what an evaluation can show."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Sequence

from srl_swe.environments.actions import SUBMIT, format_answer
from srl_swe.environments.solutions import format_solution, whole_solution
from srl_swe.errors import ConfigError
from srl_swe.records import ChatAnswer, Message, PreparedTask, Trajectory


class DoNothingPolicy:
    """Submits at once: no task may be solved by it."""

    name = "nothing"

    def act(self, conversations: Sequence[tuple[Message, ...]], tasks: Sequence[PreparedTask]) -> list[ChatAnswer]:
        """Submit in every conversation."""
        return [_said("There is nothing to do.", SUBMIT) for _ in zip(conversations, tasks, strict=True)]


class GoldPolicy:
    """Applies the gold patch in one command and submits, or gives the right answer: every task must be solved by it."""

    name = "gold"

    def act(self, conversations: Sequence[tuple[Message, ...]], tasks: Sequence[PreparedTask]) -> list[ChatAnswer]:
        """Apply the patch where the episode starts, submit after that."""
        return [
            _solved(f"\\boxed{{{task.task.answer.answer}}}", "The answer is known.")
            if task.task.answer is not None
            else _said("The fix is known.", apply_command(task.gold_patch))
            if is_first_step(conversation)
            else _said("The fix is in.", SUBMIT)
            for conversation, task in zip(conversations, tasks, strict=True)
        ]


class ExpertPolicy:
    """Repeats recorded expert actions, whatever comes back; submits where the recording ends."""

    name = "expert"

    def __init__(self, trajectories: Iterable[Trajectory]) -> None:
        """Keep the first trajectory of each task, one that was verified as solved before any other."""
        self._trajectories: dict[str, Trajectory] = {}
        for trajectory in trajectories:
            known = self._trajectories.get(trajectory.task_id)
            if known is None or (trajectory.resolved and not known.resolved):
                self._trajectories[trajectory.task_id] = trajectory
        # Conversations are cut to the last few steps, so the position cannot be read from them.
        self._position: dict[str, int] = {}

    def act(self, conversations: Sequence[tuple[Message, ...]], tasks: Sequence[PreparedTask]) -> list[ChatAnswer]:
        """The next recorded action of each task.

        Raises:
            ConfigError: a task has no trajectory.
        """
        return [self._answer(c, t.task.task_id) for c, t in zip(conversations, tasks, strict=True)]

    def require(self, task_ids: Iterable[str]) -> None:
        """Check before anything runs that every task has a trajectory.

        Raises:
            ConfigError: naming those that have none.
        """
        missing = [task_id for task_id in task_ids if task_id not in self._trajectories]
        if missing:
            raise ConfigError(f"no expert trajectory for {', '.join(missing)}; record them: srl-swe experts record")

    def _answer(self, conversation: tuple[Message, ...], task_id: str) -> ChatAnswer:
        self.require([task_id])
        position = 0 if is_first_step(conversation) else self._position.get(task_id, 0)
        self._position[task_id] = position + 1
        trajectory = self._trajectories[task_id]
        if trajectory.domain == "mathematics":  # one answer an episode: the whole solution
            return _solved(whole_solution(trajectory), "As the expert did.")
        steps = [step for step in trajectory.steps if step.runnable]
        if position >= len(steps):
            return _said("The recording ends here.", SUBMIT)
        step = steps[position]
        thought = step.thought.replace("</think>", "").strip() or "As the expert did."
        return _said(thought, step.action)


def _said(thought: str, action: str) -> ChatAnswer:
    return ChatAnswer(text=format_answer(thought, action), finish_reason="stop")


def _solved(solution: str, thought: str) -> ChatAnswer:
    return ChatAnswer(text=format_solution(thought, solution), finish_reason="stop")


def is_first_step(conversation: Sequence[Message]) -> bool:
    """Whether nobody has acted yet."""
    return all(message["role"] != "assistant" for message in conversation)


def apply_command(patch: str) -> str:
    """One shell command that applies a patch, whatever is in it (backticks, tags and here-document marks included)."""
    packed = base64.b64encode(gzip.compress(patch.encode(), mtime=0)).decode()
    return f"echo {packed} | base64 -d | gunzip | git apply --whitespace=nowarn"
