"""Rows in the form of OpenAI's Responses API, as NeMo-Gym keeps them (https://docs.nvidia.com/nemo/gym): rollouts of
Claude Code, OpenCode, mini-swe-agent, Harbor's agents; and rows with an ``expected_action``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath
from typing import Any

from srl_swe.experts.formats.content import find_problem, text_of
from srl_swe.experts.formats.fields import Field
from srl_swe.experts.formats.items import read_item_call, read_items
from srl_swe.experts.formats.recordings import Recording, Turn, name_of

NAME = "nemo-gym"


def recognises(value: Any) -> bool:
    """Whether a row has such a request or response."""
    if not isinstance(value, dict):
        return False
    response = value.get("response")
    return "responses_create_params" in value or (isinstance(response, dict) and "output" in response)


def read(row: Field, path: PurePath) -> Recording:
    """Read one.

    Raises:
        TrajectoryError: a field is missing or wrong, or the row is a task without a rollout.
    """
    asked, expected = row.get("responses_create_params"), row.get("expected_action")
    before, done = _split(asked)
    if expected is not None:
        turns = [*read_items(done), Turn(thought="", call=read_item_call(expected))]
    else:
        turns = read_items([*done, *row["response"]["output"].members()])
    reward = row.get("reward")
    if reward is not None and turns:
        turns[-1] = replace(turns[-1], reward=reward.number())
    agent = row.at("agent_ref", "name")
    agent_name = agent.text() if agent is not None else ""
    model = row.at("response", "model") or (asked.get("model") if asked is not None else None)
    return Recording(
        format=NAME,
        task_id=_task(row, path),
        problem=_problem(asked, before),
        turns=tuple(turns),
        model=model.text() if model is not None else "",
        resolved=_resolved(row),
        extra={"agent": agent_name} if agent_name else {},
    )


def _task(row: Field, path: PurePath) -> str:
    found = row.get("instance_id") or row.at("responses_create_params", "metadata", "instance_id") or row.get("uuid")
    return found.name() if found is not None else name_of(path)


def _split(asked: Field | None) -> tuple[list[Field], list[Field]]:
    """The input in two: what was asked, and from its first action on what an agent had done before."""
    given = asked.get("input") if asked is not None else None
    items = list(given.members()) if given is not None and not isinstance(given.value, str) else []
    acting = (i for i, item in enumerate(items) if str(item.mapping().get("type", "")).endswith("_call"))
    first = next(acting, len(items))
    while first < len(items) and first and items[first - 1].mapping().get("role") == "assistant":
        first -= 1  # what it said before it acted
    return items[:first], items[first:]


def _problem(asked: Field | None, before: list[Field]) -> str:
    if asked is None:
        return ""
    if (told := asked.at("metadata", "problem_statement")) is not None:
        return told.text()
    given = asked.get("input")
    if given is None or isinstance(given.value, str):
        return find_problem(given.text() if given is not None else "")
    said = [text_of(item.get("content")) for item in before if item.mapping().get("role") == "user"]
    return find_problem("\n\n".join(said))


def _resolved(row: Field) -> bool | None:
    found = row.get("resolved")
    if found is None:
        report = row.at("metadata", "eval_report")  # by task: there is one
        names = list(report.mapping()) if report is not None else []
        found = report.at(names[0], "resolved") if report is not None and names else None
    return found.flag() if found is not None else None
