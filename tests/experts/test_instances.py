"""Step instances: what the student sees, and what it never sees."""

from __future__ import annotations

from dataclasses import replace

from srl_swe.environments.prompts import chat
from srl_swe.experts.instances import all_step_instances, step_instances
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


def test_mistakes_are_seen_and_not_learnt() -> None:
    slipped = replace(TRAJECTORY, provenance={"mistakes": [1]})
    assert [i.step for i in step_instances(slipped)] == [0, 2, 3, 4]
    assert "command-1" in text(step_instances(slipped)[1].messages)
    assert len(step_instances(slipped, skip_mistakes=False)) == 5
