"""Cut trajectories into step instances: what the student sees at step k, and the action that it should come close to.

The paper's form (arXiv 2510.25992, section 3): the problem and the last two action-observation pairs, without the
expert's thoughts; one instance for each step. In mathematics the problem and all earlier steps of the solution.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from srl_swe.environments.prompts import OBSERVATION_CHARS, chat
from srl_swe.environments.solutions import solution_chat
from srl_swe.errors import ConfigError
from srl_swe.experts.trajectories import iter_trajectories
from srl_swe.records import Message, Step, StepInstance, Trajectory

Hint = Literal["none", "title", "thought"]
"""What the student is told of the expert's next step: nothing, its thought's first line, or the whole thought."""


def step_instances(
    trajectory: Trajectory,
    *,
    history: int | None = 2,
    skip_first: bool = False,
    skip_mistakes: bool = True,
    observation_chars: int = OBSERVATION_CHARS,
    budget: int | None = None,
    measure: Callable[[str], int] = len,
    hint: Hint = "none",
) -> list[StepInstance]:
    """One instance for each step of a trajectory whose action can run, in order.

    Args:
        trajectory: Where to cut.
        history: How many of the last action-observation pairs the student sees; ``None``: all of them. In mathematics
            a solution is not cut: it always sees all steps, but for those that ``budget`` leaves out.
        skip_first: Leave out step 0, as the paper does: N - 1 instances of N steps.
        skip_mistakes: Leave out the steps that the trajectory's provenance names as ``mistakes``: later ones mend them,
            and the student sees them before those, but is not to come close to them.
        observation_chars: Longest observation shown, with head and tail kept.
        budget: Most that all messages may measure together: the oldest pairs are left out, whole, until the rest fits.
            The problem and the hint always stay, even where they alone are over it.
        measure: The size of a message's text: characters by default, or a tokenizer's count.
        hint: What the last message tells of the expert's next step.

    Raises:
        ConfigError: an option is out of range.
    """
    _check(history, budget, hint)
    if trajectory.domain == "mathematics":
        history = None
    sizes = _step_sizes(trajectory, observation_chars, measure) if budget is not None else []
    mistakes = trajectory.provenance.get("mistakes", []) if skip_mistakes else []
    instances = []
    for k, step in enumerate(trajectory.steps):
        if _why_left_out(step, k, skip_first, mistakes):
            continue
        told = hint_text(step, hint)
        last = history
        if budget is not None:
            fixed = [message["content"] for message in _chat(trajectory, k, 0, observation_chars)]
            room = budget - sum(map(measure, [*fixed, told] if told else fixed))
            last = _pairs_that_fit(sizes[:k], room, history)
        messages = _chat(trajectory, k, last, observation_chars)
        instances.append(
            StepInstance(
                instance_id=f"{trajectory.trajectory_id}#{k}",
                task_id=trajectory.task_id,
                split=trajectory.split,
                step=k,
                messages=_with_hint(messages, told),
                expert_action=step.action,
                expert_thought=step.thought,
                domain=trajectory.domain,
            )
        )
    return instances


def left_out(trajectory: Trajectory, *, skip_first: bool = False, skip_mistakes: bool = True) -> Counter[str]:
    """How many steps `step_instances` makes no instance of, by reason."""
    mistakes = trajectory.provenance.get("mistakes", []) if skip_mistakes else []
    reasons = [_why_left_out(step, k, skip_first, mistakes) for k, step in enumerate(trajectory.steps)]
    return Counter(reason for reason in reasons if reason)


def _why_left_out(step: Step, k: int, skip_first: bool, mistakes: Sequence[int]) -> str:
    if not step.runnable:
        return "action cannot run"
    if skip_first and k == 0:
        return "first step"
    return "mistake that later steps mend" if k in mistakes else ""


def _chat(trajectory: Trajectory, k: int, last: int | None, observation_chars: int) -> tuple[Message, ...]:
    """What the student sees at step k, with that many of the last steps."""
    problem, steps = trajectory.problem_statement, trajectory.steps[:k]
    if trajectory.domain == "mathematics":
        return solution_chat(problem, [step.action for step in steps], last=last)
    return chat(problem, [_as_seen(step) for step in steps], last=last, observation_chars=observation_chars)


def _step_sizes(trajectory: Trajectory, observation_chars: int, measure: Callable[[str], int]) -> list[int]:
    """What each step takes in the chat."""
    if trajectory.domain == "mathematics":
        return [measure(f"{step.action.strip()}\n\n") for step in trajectory.steps]
    sizes = [measure(m["content"]) for m in _chat(trajectory, len(trajectory.steps), None, observation_chars)[2:]]
    return [said + seen for said, seen in zip(sizes[::2], sizes[1::2], strict=True)]


def _as_seen(step: Step) -> Step:
    """An action that cannot run is shown as the text it is, not as a command."""
    return step if step.runnable else replace(step, thought=step.action, action="")


def all_step_instances(
    trajectories: Iterable[Trajectory],
    *,
    history: int | None = 2,
    skip_first: bool = False,
    observation_chars: int = OBSERVATION_CHARS,
) -> list[StepInstance]:
    """The instances of several trajectories, one after the other; see `step_instances`."""
    return [
        instance
        for trajectory in trajectories
        for instance in step_instances(
            trajectory, history=history, skip_first=skip_first, observation_chars=observation_chars
        )
    ]


def iter_step_instances(
    path: Path | str,
    *,
    history: int | None = 2,
    skip_first: bool = False,
    observation_chars: int = OBSERVATION_CHARS,
    budget: int | None = None,
    measure: Callable[[str], int] = len,
    hint: Hint = "none",
) -> Iterator[StepInstance]:
    """The instances of a file, one trajectory in memory at a time; see `step_instances`.

    Raises:
        TrajectoryError: the file cannot be read, holds no trajectory, or a line is wrong.
        ConfigError: an option is out of range.
    """
    for trajectory in iter_trajectories(path):
        yield from step_instances(
            trajectory,
            history=history,
            skip_first=skip_first,
            observation_chars=observation_chars,
            budget=budget,
            measure=measure,
            hint=hint,
        )


def without_duplicates(instances: Iterable[StepInstance]) -> Iterator[StepInstance]:
    """Leave out every instance with the messages and the action of an earlier one; 16 bytes are kept of each.

    The split counts too: a held-out instance never takes the place of a training one.
    """
    seen: set[bytes] = set()
    for instance in instances:
        content = json.dumps([instance.split, instance.messages, instance.expert_action])
        digest = hashlib.blake2b(content.encode(), digest_size=16).digest()
        if digest not in seen:
            seen.add(digest)
            yield instance


def hint_text(step: Step, hint: Hint) -> str:
    """What a hint tells of a step; empty where there is no hint, or no thought to take it from."""
    thought = step.thought.strip()
    if hint == "none" or not thought:
        return ""
    return f"\n\nHint for the next step: {thought.splitlines()[0] if hint == 'title' else thought}"


def _pairs_that_fit(sizes: list[int], room: int, most: int | None) -> int:
    """How many of the last pairs fit into ``room`` together, without a gap."""
    count = 0
    for size in reversed(sizes):
        room -= size
        if room < 0 or count == most:
            break
        count += 1
    return count


def _with_hint(messages: tuple[Message, ...], told: str) -> tuple[Message, ...]:
    if not told:
        return messages
    return (*messages[:-1], {**messages[-1], "content": messages[-1]["content"] + told})


def _check(history: int | None, budget: int | None, hint: str) -> None:
    if history is not None and history < 0:
        raise ConfigError(f"history: expected 0 or more pairs, or None for all, got {history}")
    if budget is not None and budget < 1:
        raise ConfigError(f"budget: expected a positive number, got {budget}")
    if hint not in get_args(Hint):
        raise ConfigError(f"hint: expected {', '.join(get_args(Hint))}, got {hint!r}")
