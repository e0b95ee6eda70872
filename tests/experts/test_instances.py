"""Step instances: what the student sees, and what it never sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srl_swe.environments.prompts import chat
from srl_swe.errors import ConfigError
from srl_swe.experts.instances import all_step_instances, iter_step_instances, step_instances, without_duplicates
from srl_swe.experts.trajectories import write_trajectories
from srl_swe.records import Step, Trajectory

STEPS = tuple(Step(thought=f"secret {k}", action=f"command-{k}", observation=f"seen-{k}") for k in range(5))
TRAJECTORY = Trajectory(
    trajectory_id="t@oracle-0",
    task_id="suite/t",
    split="heldout",
    problem_statement="It is broken",
    steps=STEPS,
    source="oracle",
)


def text(messages: tuple[dict[str, str], ...]) -> str:
    return "\n".join(message["content"] for message in messages)


def test_the_papers_form_is_the_problem_and_the_last_two_pairs() -> None:
    instances = step_instances(TRAJECTORY)
    assert [i.instance_id for i in instances] == [f"t@oracle-0#{k}" for k in range(5)]
    assert [i.step for i in instances] == list(range(5))
    assert [(i.expert_action, i.expert_thought) for i in instances] == [(s.action, s.thought) for s in STEPS]
    assert {(i.task_id, i.split) for i in instances} == {("suite/t", "heldout")}
    last = text(instances[4].messages)
    assert "It is broken" in last
    assert [k for k in range(5) if f"command-{k}" in last] == [2, 3]
    assert [k for k in range(5) if f"seen-{k}" in last] == [2, 3]
    assert [m["role"] for m in instances[4].messages] == ["system", "user", "assistant", "user", "assistant", "user"]


def test_the_student_never_sees_a_thought_or_what_is_to_come() -> None:
    for history in (None, 0, 2):
        for instance in step_instances(TRAJECTORY, history=history):
            shown = text(instance.messages)
            assert "secret" not in shown
            assert not any(f"command-{k}" in shown or f"seen-{k}" in shown for k in range(instance.step, 5))


def test_the_full_history() -> None:
    last = step_instances(TRAJECTORY, history=None)[4]
    assert [k for k in range(5) if f"command-{k}" in text(last.messages)] == [0, 1, 2, 3]
    assert last.messages == chat(TRAJECTORY.problem_statement, STEPS[:4], last=None)


def test_the_first_step_can_be_left_out() -> None:
    assert [i.step for i in step_instances(TRAJECTORY, skip_first=True)] == [1, 2, 3, 4]
    assert len(all_step_instances([TRAJECTORY, TRAJECTORY], skip_first=True)) == 8


@given(budget=st.integers(1, 3000), history=st.sampled_from([None, 0, 2]))
def test_a_budget_keeps_the_problem_and_as_many_of_the_last_pairs_as_fit(budget: int, history: int | None) -> None:
    for instance in step_instances(TRAJECTORY, budget=budget, history=history):
        k, shown = instance.step, [m for m in range(instance.step) if f"seen-{m}" in text(instance.messages)]
        assert instance.messages == chat(TRAJECTORY.problem_statement, STEPS[:k], last=len(shown))
        assert shown == list(range(k - len(shown), k))
        assert not shown or sum(len(m["content"]) for m in instance.messages) <= budget
        if len(shown) < (k if history is None else min(k, history)):
            least = chat(TRAJECTORY.problem_statement, STEPS[:k], last=0)
            pairs = chat(TRAJECTORY.problem_statement, STEPS[:k], last=len(shown) + 1)[2:]
            assert sum(len(m["content"]) for m in (*least, *pairs)) > budget


def test_a_budget_is_in_what_the_measure_counts() -> None:
    assert len(step_instances(TRAJECTORY, history=None, budget=6, measure=lambda _: 1)[4].messages) == 6


def test_a_hint_tells_of_the_next_step_alone() -> None:
    steps = tuple(replace(step, thought=f"title {k}\nbody {k}") for k, step in enumerate(STEPS))
    trajectory = replace(TRAJECTORY, steps=steps)
    for instance, k in zip(step_instances(trajectory, hint="title"), range(5), strict=True):
        assert [m for m in range(5) if f"title {m}" in text(instance.messages)] == [k]
        assert "body" not in text(instance.messages)
    assert "body 3" in step_instances(trajectory, hint="thought")[3].messages[-1]["content"]


def test_duplicates_are_left_out_within_a_split() -> None:
    again = replace(TRAJECTORY, trajectory_id="again")
    other = replace(TRAJECTORY, trajectory_id="other", split="train")
    kept = without_duplicates(all_step_instances([TRAJECTORY, again, other]))
    assert [i.instance_id for i in kept] == [f"{name}#{k}" for name in ("t@oracle-0", "other") for k in range(5)]


def test_a_file_is_cut_like_its_trajectories(tmp_path: Path) -> None:
    write_trajectories(tmp_path / "t.jsonl", [TRAJECTORY, replace(TRAJECTORY, trajectory_id="2")])
    found = list(iter_step_instances(tmp_path / "t.jsonl", skip_first=True, hint="title"))
    assert len(found) == 8
    assert found[:4] == step_instances(TRAJECTORY, skip_first=True, hint="title")


@pytest.mark.parametrize("option", [{"history": -1}, {"budget": 0}, {"hint": "all"}])
def test_options_out_of_range_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        step_instances(TRAJECTORY, **option)


def test_mistakes_are_seen_and_not_learnt() -> None:
    slipped = replace(TRAJECTORY, provenance={"mistakes": [1]})
    assert [i.step for i in step_instances(slipped)] == [0, 2, 3, 4]
    assert "command-1" in text(step_instances(slipped)[1].messages)
    assert len(step_instances(slipped, skip_mistakes=False)) == 5
