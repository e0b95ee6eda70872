"""`RepoEnv` in real containers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import docker
import gymnasium
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import srl_swe
from srl_swe.environments.actions import format_answer
from srl_swe.environments.expert_replay import ExpertReplay
from srl_swe.environments.prompts import chat
from srl_swe.environments.repo import RepoEnv
from srl_swe.environments.spaces import UnicodeText
from srl_swe.errors import ConfigError, TaskError
from srl_swe.records import Ending, PreparedTask, Task, Trajectory
from srl_swe.sandbox.owners import KIND_LABEL, OWNER_LABEL, this_process

FIX = "str_replace_editor str_replace adder.py --old_str 'a - b' --new_str 'a + b'"
ENV_ID = "srl_swe/Repo-v0"


def say(command: str) -> str:
    return format_answer("I know.", command)


def containers(client: docker.DockerClient) -> int:
    return len(client.containers.list(all=True, filters={"label": f"{OWNER_LABEL}={this_process()}"}))


def snapshots(client: docker.DockerClient) -> list[str]:
    filters = {"label": [f"{KIND_LABEL}=snapshot", f"{OWNER_LABEL}={this_process()}"]}
    return [image["Id"] for image in client.api.images(filters=filters)]


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, srl_swe; print([m for m in ('torch', 'docker', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert srl_swe.RepoEnv is RepoEnv


def test_wrong_arguments_are_named(tiny_suite: Path, tiny_task: Task) -> None:
    suites = str(tiny_suite)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "suites or tasks"),
        ({"suites": suites, "tasks": [tiny_task]}, "suites or tasks"),
        ({"suites": suites, "split": "test"}, "split"),
        ({"suites": suites, "max_steps": 0}, "max_steps"),
        ({"suites": suites, "command_timeout_s": 0}, "command_timeout_s"),
        ({"suites": suites, "render_mode": "human"}, "render_mode"),
        ({"tasks": [tiny_task], "task": "tinysuite/other"}, "task"),
        ({"tasks": [tiny_task], "split": "heldout"}, "no task"),
        ({"tasks": []}, "no task"),
    ]
    for arguments, reason in wrong:
        with pytest.raises(ConfigError, match=reason):
            RepoEnv(**arguments)
    for arguments in ({"split": "heldout"}, {"task": "nothing"}):
        with pytest.raises(TaskError):
            RepoEnv(suites, **arguments)


def test_nothing_starts_before_reset(tiny_task: Task) -> None:
    env = RepoEnv(tasks=[tiny_task])
    for call in (lambda: env.step("x"), env.patch, lambda: env.prepared):
        with pytest.raises(ResetNeeded):
            call()
    env.close()


@pytest.mark.docker
def test_an_episode_that_solves_the_task(env: RepoEnv, docker_client: docker.DockerClient) -> None:
    observation, info = env.reset(seed=1)
    assert observation == "add(2, 2) gives 0." == env.render()
    assert info["messages"] == chat("add(2, 2) gives 0.", [])
    assert (info["task_id"], info["step"], info["ending"]) == ("tinysuite/adder", 0, None)
    assert env.patch() == ""
    observation, reward, terminated, truncated, info = env.step(say("cd / && export A=1; cat /testbed/adder.py; false"))
    assert observation == "exit code: 1\ndef add(a, b):\n    return a - b"
    assert (reward, terminated, truncated, info["step"]) == (0.0, False, False, 1)
    assert env.step(say("echo $A; pwd"))[0] == "exit code: 0\n1\n/"
    env.step(say(f"cd /testbed; {FIX}"))
    assert env.render().startswith("$ cd /testbed; str_replace_editor") and "edited adder.py" in env.render()
    assert "+    return a + b" in env.patch()
    assert containers(docker_client) == 1
    observation, reward, terminated, truncated, info = env.step(say("submit"))
    assert (observation, reward, terminated, truncated) == ("submitted", 1.0, True, False)
    assert info["ending"] is Ending.SUBMITTED and info["verdict"].solved is True and info["score"].value == 1.0
    assert "+    return a + b" in env.patch()
    assert containers(docker_client) == 0
    with pytest.raises(ResetNeeded):
        env.step(say("ls"))


@pytest.mark.docker
def test_doing_nothing_is_not_rewarded(env: RepoEnv) -> None:
    env.reset()
    _, reward, terminated, _, info = env.step(say("submit"))
    assert (reward, terminated, info["verdict"].solved, info["score"].value) == (0.0, True, False, 0.0)


@pytest.mark.docker
def test_malformed_answers_are_told_counted_and_not_run(env: RepoEnv) -> None:
    env.reset()
    for k, text in enumerate(("rm adder.py", "```bash\nrm adder.py\n```", "<think>x</think>"), start=1):
        observation, reward, terminated, truncated, info = env.step(text)
        assert observation.startswith("not run: no ") and "```bash" in observation
        assert (reward, terminated, truncated) == (0.0, False, False)
        assert (info["malformed"], info["step"]) == (k, k)
    assert info["messages"][-2]["content"] == "<think>x</think>"
    assert env.step(say("ls"))[0] == "exit code: 0\nadder.py"


@pytest.mark.docker
def test_the_step_limit_truncates(tiny_prepared: PreparedTask) -> None:
    env = RepoEnv(tasks=[tiny_prepared], max_steps=2)
    env.reset()
    assert env.step("x")[2:4] == (False, False)
    _, reward, terminated, truncated, info = env.step(say(FIX))
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["ending"] is Ending.STEP_LIMIT and info["verdict"] is None
    assert "a + b" in env.patch()
    env.reset()
    assert env.step(say("submit"))[2:4] == (True, False)
    env.close()


@pytest.mark.docker
def test_a_lost_sandbox_is_no_reward(env: RepoEnv, docker_client: docker.DockerClient) -> None:
    env.reset()
    for container in docker_client.containers.list(filters={"label": f"{OWNER_LABEL}={this_process()}"}):
        container.kill()
    observation, reward, terminated, truncated, info = env.step(say("ls"))
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert info["ending"] is Ending.INFRASTRUCTURE and info["score"].value is None
    assert "SandboxLostError" in info["error"] and "SandboxLostError" in observation
    assert env.reset()[1]["ending"] is None
    assert env.step(say("ls"))[0] == "exit code: 0\nadder.py"


@pytest.mark.docker
def test_opening_on_the_experts_path(env: RepoEnv, tiny_expert: Trajectory, docker_client: docker.DockerClient) -> None:
    options = {"task": "tinysuite/adder", "trajectory": tiny_expert, "step": 2}
    for _ in range(2):
        observation, info = env.reset(options=options)
        assert observation == "exit code: 0\nedited adder.py"
        assert info["messages"] == chat("add(2, 2) gives 0.", tiny_expert.steps[:2])
        assert info["step"] == 2
        assert env.step(say("echo $WHO; ls; str_replace_editor undo adder.py"))[0].startswith(
            "exit code: 0\nexpert\nadder.py\ntook back the last edit"
        )
        assert len(snapshots(docker_client)) == 3, "one for each of the expert's actions but the last"
    env.reset(options=options | {"step": 3})
    assert env.step(say("cat note.txt"))[0] == "exit code: 0\ndone"
    assert len(snapshots(docker_client)) == 3
    assert env.step(say("submit"))[1] == 1.0
    env.close()
    assert snapshots(docker_client) == []
    with pytest.raises(ConfigError, match="step"):
        env.reset(options={"step": 2})


@pytest.mark.docker
def test_srl_in_a_container(env: RepoEnv, tiny_expert: Trajectory) -> None:
    replay = ExpertReplay(env, tiny_expert)
    observation, info = replay.reset()
    rewards = []
    for k, step in enumerate(tiny_expert.steps):
        seen = repr((observation, info))
        assert all(later.action not in seen for later in tiny_expert.steps[k:3])
        observation, reward, terminated, truncated, info = replay.step(say(step.action if k % 2 else "nothing like it"))
        rewards.append(reward)
        assert (terminated, truncated) == (k == 3, False)
    assert rewards[1] == rewards[3] == 1.0 and 0 <= rewards[0] < 0.5
    assert info["verdict"].solved is True and info["malformed"] == 0


@pytest.mark.docker
def test_gymnasiums_own_checks(tiny_suite: Path, tiny_prepared: PreparedTask) -> None:  # noqa: ARG001 -- builds once
    env = gymnasium.make(ENV_ID, suites=[str(tiny_suite)], split="train", max_steps=3, render_mode="ansi")
    assert env.spec is not None and '"train"' in env.spec.to_json()
    try:
        check_env(env.unwrapped)
    finally:
        env.close()


@pytest.mark.docker
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vector_environments(mode: str, tiny_suite: Path, tiny_prepared: PreparedTask) -> None:  # noqa: ARG001
    settings = {"shared_memory": False} if mode == "async" else {}
    envs = gymnasium.make_vec(
        ENV_ID, num_envs=2, vectorization_mode=mode, vector_kwargs=settings, suites=str(tiny_suite), max_steps=2
    )
    try:
        assert envs.single_observation_space == UnicodeText(1_000_000)
        observations, infos = envs.reset(seed=3)
        assert list(observations) == ["add(2, 2) gives 0."] * 2
        assert list(infos["task_id"]) == ["tinysuite/adder"] * 2
        observations, rewards, _, _, _ = envs.step((say("echo é; pwd"), say(FIX)))
        assert observations[0] == "exit code: 0\né\n/testbed"
        assert list(rewards) == [0.0, 0.0]
        _, rewards, terminated, truncated, _ = envs.step((say("ls"), say("submit")))
        assert list(rewards) == [0.0, 1.0]
        assert (list(terminated), list(truncated)) == ([False, True], [True, False])
    finally:
        envs.close()
