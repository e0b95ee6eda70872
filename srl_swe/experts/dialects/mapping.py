"""From a recording to a trajectory: every action said in our grammar, or kept as text where it cannot be."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from srl_swe.environments.actions import SUBMIT
from srl_swe.errors import TrajectoryError
from srl_swe.experts.dialects.agents import DIALECTS, SHELL
from srl_swe.experts.dialects.dialect import Dialect, Unmapped, Workspace
from srl_swe.experts.dialects.sweagent import line_arguments, read_line
from srl_swe.experts.formats.recordings import Recording, Turn
from srl_swe.records import Split, Step, ToolCall, Trajectory

_THINK_TAGS = re.compile(r"</?think(?:ing)?>[ \t]*\n?")


def to_trajectory(recording: Recording, *, trajectory_id: str, split: Split) -> Trajectory:
    """The recording as a trajectory; ``provenance["not_runnable"]`` counts what could not be mapped, by reason.

    ``provenance["workdir"]`` is where the agent first was, in formats that tell it.

    Raises:
        TrajectoryError: nothing was done or said in it.
    """
    dialect = DIALECTS[recording.dialect] if recording.dialect else tell(recording.turns)
    steps, reasons = _steps(recording, dialect)
    if not steps:
        raise TrajectoryError("holds no step: the agent neither did nor said anything")
    provenance: dict[str, Any] = {"format": recording.format, "dialect": dialect.name, **recording.extra}
    if workdir := next((turn.folder for turn in recording.turns if turn.folder), ""):
        provenance["workdir"] = workdir
    if reasons:
        provenance["not_runnable"] = dict(sorted(reasons.items()))
    return Trajectory(
        trajectory_id=trajectory_id,
        task_id=recording.task_id,
        split=split,
        problem_statement=recording.problem,
        steps=tuple(steps),
        source=recording.format,
        model=recording.model,
        resolved=recording.resolved,
        provenance=provenance,
    )


def tell(turns: Iterable[Turn]) -> Dialect:
    """The dialect that knows the most of the tools that are called; the plain shell where none is."""
    called = Counter(turn.call.name for turn in turns if turn.call)
    written = Counter(turn.command.split(maxsplit=1)[0] for turn in turns if turn.command.strip())
    known = {
        name: sum(n for tool, n in called.items() if tool in dialect.tools)
        + sum(n for word, n in written.items() if word in dialect.lines)
        for name, dialect in DIALECTS.items()
    }
    best = max(known, key=lambda name: known[name])
    return DIALECTS[best] if known[best] else SHELL


def _steps(recording: Recording, dialect: Dialect) -> tuple[list[Step], Counter[str]]:
    workspace, steps, reasons = Workspace(), [], Counter[str]()
    turns = [turn for turn in recording.turns if turn.acts or turn.thought.strip()]
    for index, turn in enumerate(turns):
        workspace.folder, workspace.observation = turn.folder or workspace.folder, turn.observation
        last = index == len(turns) - 1
        try:
            action = _runnable(_action(turn, dialect, workspace, last=last, recording=recording), last=last)
            steps.append(_step(turn, action, runnable=True))
        except Unmapped as unmapped:
            reasons[str(unmapped)] += 1
            steps.append(_step(turn, _as_text(turn), runnable=False))
    return steps, reasons


def _action(turn: Turn, dialect: Dialect, workspace: Workspace, *, last: bool, recording: Recording) -> str:
    if not turn.acts:
        if last and (recording.falls_silent or dialect.falls_silent):
            return SUBMIT
        raise Unmapped("an answer without an action")
    own = read_line(turn.command) if dialect.lines and turn.command else None
    if turn.command and own is None:
        if turn.call is not None and turn.call.name not in dialect.tools:
            raise Unmapped(f"no tool {turn.call.name[:40]!r} in {dialect.name}")
        action = turn.command.strip("\n")
    elif own is not None and turn.call is None:
        action = dialect.tools[own[0]](line_arguments(*own), workspace)
    else:
        assert turn.call is not None
        action = _from_call(turn.call, dialect, workspace)
    ends = dialect.submission and dialect.submission in action and last
    return SUBMIT if ends else action


def _from_call(call: ToolCall, dialect: Dialect, workspace: Workspace) -> str:
    way = dialect.tools.get(call.name)
    if way is None:
        raise Unmapped(f"no tool {call.name[:40]!r} in {dialect.name}")
    try:
        arguments = json.loads(call.arguments) if call.arguments.strip() else {}
    except (ValueError, RecursionError) as error:
        raise Unmapped("arguments that are not JSON") from error
    if not isinstance(arguments, dict):
        raise Unmapped("arguments that are no object")
    return way(arguments, workspace)


def _runnable(action: str, *, last: bool) -> str:
    if not action.strip():
        raise Unmapped("no command")
    if "\0" in action:
        raise Unmapped("a character that no shell could be given")
    if action.strip() == SUBMIT:
        if not last:  # SWE-agent asks once more before it lets go; in our environment a submission is the end
            raise Unmapped("a submission that was not the end")
        return SUBMIT
    return action


def _step(turn: Turn, action: str, *, runnable: bool) -> Step:
    if not turn.acts and not runnable:
        thought, call = "", None
    else:
        thought, call = _THINK_TAGS.sub("", turn.thought).strip(), _call(turn, action)
    return Step(
        thought=thought,
        action=action,
        observation=turn.observation,
        call=call,
        runnable=runnable,
        reward=turn.reward,
    )


def _call(turn: Turn, action: str) -> ToolCall | None:
    """What the source wrote; ``None`` where the action says it already."""
    if turn.call is not None or turn.command.strip("\n") == action or not turn.acts:
        return turn.call
    name, _, rest = turn.command.partition(" ")
    if "\n" in name:
        name, _, rest = turn.command.partition("\n")
    return ToolCall(name=name.strip() or "bash", arguments=rest)


def _as_text(turn: Turn) -> str:
    if turn.command.strip():
        return turn.command.strip("\n")
    if turn.call is not None:
        return f"{turn.call.name} {turn.call.arguments}".strip()
    return turn.thought.strip()
