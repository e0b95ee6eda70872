"""The oracle in real containers: what it records is solved, can be replayed, and a spoiled recording is found out."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from srl_swe.environments.actions import format_answer, parse_action
from srl_swe.errors import TrajectoryError
from srl_swe.experts.forms import draw_habits
from srl_swe.experts.instances import step_instances
from srl_swe.experts.oracle import record
from srl_swe.experts.recording import Recorded, record_suite
from srl_swe.experts.replay import mark, replay
from srl_swe.experts.trajectories import read_trajectories, write_trajectories
from srl_swe.records import Ending, PreparedTask, Trajectory
from srl_swe.tasks.folder import read_task
from srl_swe.tasks.prepare import prepare

pytestmark = pytest.mark.docker

TASK = Path(__file__).parents[2] / "envs" / "starter" / "tasks" / "ledger-split-cents"


@pytest.fixture(scope="module")
def prepared(docker_client: docker.DockerClient) -> PreparedTask:
    return prepare(read_task(TASK), client=docker_client)


@pytest.fixture(scope="module")
def recorded(prepared: PreparedTask) -> Trajectory:
    return record(prepared, seed=0)


def test_a_recording_is_solved_and_natural(recorded: Trajectory, prepared: PreparedTask) -> None:
    assert recorded.resolved is True
    assert 5 <= len(recorded.steps) <= 14
    assert recorded.provenance["mistakes"] == []
    assert recorded.steps[-1].action == "submit"
    assert recorded.problem_statement == prepared.task.problem_statement
    assert recorded.provenance["task_hash"] == prepared.task.content_hash
    search = next(step for step in recorded.steps if re.match("(git )?grep", step.action))
    assert "ledger/money.py" in search.observation
    for step in recorded.steps:
        assert step.observation.startswith("exit code: 0") or step.action == "submit"
        assert 1 <= len(step.thought.split()) <= 25
        thought, action = parse_action(format_answer(step.thought, step.action))
        assert (thought, action.command) == (step.thought, step.action)


def test_a_recording_is_decided_by_task_and_seed(recorded: Trajectory, prepared: PreparedTask) -> None:
    again = record(prepared, seed=0)
    assert [(s.thought, s.action) for s in again.steps] == [(s.thought, s.action) for s in recorded.steps]
    # What is committed was recorded by this code, from this task.
    file = TASK.parents[3] / "trajectories" / "starter.train.jsonl"
    committed = {t.trajectory_id: t for t in read_trajectories(file)}[recorded.trajectory_id]
    assert committed.provenance["task_hash"] == prepared.task.content_hash
    assert [(s.thought, s.action) for s in committed.steps] == [(s.thought, s.action) for s in recorded.steps]


@pytest.mark.parametrize(
    ("slip", "name"),
    [("path", "textkit-slug-taken"), ("edit", "textkit-slug-taken"), ("old", "taskgraph-plan-typo")],
)
def test_a_mistake_is_noticed_and_mended(slip: str, name: str) -> None:
    prepared = prepare(read_task(TASK.parent / name))
    seeds = (
        seed
        for seed in range(1000)
        if (drawn := draw_habits(random.Random(f"{prepared.task.content_hash}:{seed}"))).slips == slip
        and drawn.editing == "editor"
    )
    recorded = record(prepared, seed=next(seeds))
    assert recorded.resolved is True
    (mistake,) = recorded.provenance["mistakes"]
    noticed = recorded.steps[mistake + (slip == "edit")]
    assert not noticed.observation.startswith("exit code: 0")
    assert ("pytest" in noticed.action) == (slip == "edit")
    later = [step.observation for step in recorded.steps[mistake + 2 : -1]]
    assert all(observation.startswith("exit code: 0") for observation in later)
    # The student sees the mistake, but is not to come close to it.
    instances = step_instances(recorded, history=None)
    assert [i.step for i in instances] == [k for k in range(len(recorded.steps)) if k != mistake]
    assert any(recorded.steps[mistake].action in m["content"] for m in instances[-1].messages)
    assert len(step_instances(recorded, skip_mistakes=False)) == len(recorded.steps)


def test_a_replay_finds_no_drift(recorded: Trajectory, prepared: PreparedTask) -> None:
    report = replay(recorded, prepared)
    assert report.drifted == ()
    assert [step.action for step in report.steps] == [step.action for step in recorded.steps]
    assert {step.ratio for step in report.steps} == {1.0}
    assert (report.resolved, report.ending, report.skipped, report.stale) == (True, Ending.SUBMITTED, 0, False)


def test_a_spoiled_action_drifts_and_is_not_solved(recorded: Trajectory, prepared: PreparedTask) -> None:
    k = next(k for k, step in enumerate(recorded.steps) if "shares" in step.action)
    spoiled = list(recorded.steps)
    spoiled[k] = replace(
        spoiled[k], action="str_replace_editor str_replace ledger/money.py --old_str 'nowhere' --new_str ''"
    )
    report = replay(replace(recorded, steps=tuple(spoiled), provenance={"task_hash": "other"}), prepared)
    assert k in report.drifted
    assert report.steps[k].ratio < 1.0
    assert report.steps[k - 1].drift is False
    assert (report.resolved, report.stale) == (False, True)
    assert mark(recorded, report).resolved is False


def test_a_trajectory_without_a_submission_is_not_judged(recorded: Trajectory, prepared: PreparedTask) -> None:
    report = replay(replace(recorded, steps=recorded.steps[:2]), prepared)
    assert (report.resolved, report.ending, len(report.steps)) == (None, None, 2)


def test_steps_after_the_submission_are_counted(recorded: Trajectory, prepared: PreparedTask) -> None:
    report = replay(replace(recorded, steps=(recorded.steps[-1], *recorded.steps[:2])), prepared)
    assert (report.resolved, len(report.steps), report.skipped) == (False, 1, 2)


def test_another_tasks_trajectory_is_refused(recorded: Trajectory, prepared: PreparedTask) -> None:
    with pytest.raises(TrajectoryError, match="belongs to the task starter/other"):
        replay(replace(recorded, task_id="starter/other"), prepared)


def test_a_suite_is_recorded_once(prepared: PreparedTask, recorded: Trajectory, tmp_path: Path) -> None:
    out, seen = tmp_path / "t.jsonl", list[Recorded]()
    stale = replace(recorded, trajectory_id="old", provenance={"task_hash": "older", "seed": 0})
    foreign = replace(recorded, trajectory_id="foreign", task_id="starter/other")
    (tmp_path / "t.jsonl.partial").write_bytes(b'{"schema": 1, "trajec')
    write_trajectories(out, [stale, foreign])
    results = record_suite([prepared], out, seeds=(0,), on_progress=seen.append)
    assert seen == results
    assert [(r.reused, r.error) for r in results] == [(False, None)]
    assert {t.trajectory_id for t in read_trajectories(out)} == {"foreign", f"{prepared.task.task_id}@oracle-0"}
    assert [p.name for p in tmp_path.iterdir()] == ["t.jsonl"]

    before = out.read_bytes()
    assert [r.reused for r in record_suite([prepared], out, seeds=(0,))] == [True]
    assert out.read_bytes() == before


def test_a_world_that_fails_is_reported_and_nothing_is_written(prepared: PreparedTask, tmp_path: Path) -> None:
    broken = replace(prepared, image="srl-swe/no-such-image:none")
    (result,) = record_suite([broken], tmp_path / "t.jsonl")
    assert result.trajectory is None
    assert result.error
    assert list(tmp_path.iterdir()) == []
