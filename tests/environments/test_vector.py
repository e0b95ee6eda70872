"""gymnasium's own machinery over our environments, in real containers: make, make_vec, autoreset, wrappers, seeds."""

from __future__ import annotations

import dataclasses
import json
import pickle
import time
from pathlib import Path
from typing import Any

import docker
import gymnasium
import numpy as np
import pytest
from docker.errors import NotFound
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers import RecordEpisodeStatistics
from gymnasium.wrappers.vector import RecordEpisodeStatistics as RecordVectorStatistics

import srl_swe  # noqa: F401 -- registers the ids
from srl_swe.environments.actions import format_answer
from srl_swe.environments.expert_replay import ExpertReplay
from srl_swe.environments.repo import RepoEnv
from srl_swe.errors import ConfigError, TrajectoryError
from srl_swe.experts.environment import make_expert_replay
from srl_swe.experts.trajectories import write_trajectories
from srl_swe.records import Ending, PreparedTask, Trajectory
from srl_swe.sandbox.owners import OWNER_LABEL, this_process

FIX = "str_replace_editor str_replace adder.py --old_str 'a - b' --new_str 'a + b'"
PROBLEM = "add(2, 2) gives 0."
REPO, REPLAY = "srl_swe/Repo-v0", "srl_swe/ExpertReplay-v0"
MODES = pytest.mark.parametrize("mode", ["sync", "async"])


def say(command: str) -> str:
    return format_answer("I know.", command)


def vector(mode: str, num_envs: int = 2, *, env_id: str = REPO, wrappers: Any = None, **arguments: Any) -> VectorEnv:
    autoreset = {"autoreset_mode": arguments.pop("autoreset", AutoresetMode.NEXT_STEP)}
    vector_kwargs = autoreset | ({"shared_memory": False} if mode == "async" else {})
    return gymnasium.make_vec(
        env_id,
        num_envs=num_envs,
        vectorization_mode=mode,
        vector_kwargs=vector_kwargs,
        wrappers=wrappers,
        **arguments,
    )


def owned(client: docker.DockerClient, envs: VectorEnv | None = None) -> list[Any]:
    """Containers of this process, or of a vector's worker processes."""
    if envs is None:
        filters = {"label": f"{OWNER_LABEL}={this_process()}"}
        return client.containers.list(all=True, filters=filters, ignore_removed=True)
    pids = {str(process.pid) for process in envs.unwrapped.processes}
    found = client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
    return [one for one in found if one.labels[OWNER_LABEL].split(":")[-2] in pids]


def any_left(client: docker.DockerClient, containers: list[Any]) -> bool:
    """Whether any of them is still there."""
    for container in containers:
        try:
            client.containers.get(container.id)
        except NotFound:
            continue
        return True
    return False


@pytest.fixture(scope="module")
def expert_file(tmp_path_factory: pytest.TempPathFactory, tiny_expert: Trajectory) -> str:
    """The expert's trajectory, and another one of the same task that only submits."""
    path = tmp_path_factory.mktemp("experts") / "tiny.jsonl"
    short = dataclasses.replace(tiny_expert, trajectory_id="adder#2", steps=tiny_expert.steps[-1:])
    write_trajectories(path, [tiny_expert, short])
    return str(path)


@pytest.fixture(scope="module")
def many(tiny_prepared: PreparedTask) -> list[PreparedTask]:
    """The tiny task under nine names."""
    return [
        dataclasses.replace(tiny_prepared, task=dataclasses.replace(tiny_prepared.task, task_id=f"tinysuite/adder{k}"))
        for k in range(9)
    ]


# ---------------------------------------------------------------------------------------------------------------- make
def test_specs_survive_json_and_pickle(tiny_suite: Path, expert_file: str) -> None:
    made: list[tuple[str, dict[str, Any]]] = [
        (REPO, {"suites": [str(tiny_suite)], "split": "train", "max_steps": 3, "render_mode": "ansi"}),
        (REPLAY, {"suites": [str(tiny_suite)], "trajectories": expert_file, "trajectory": "adder#1"}),
    ]
    for env_id, arguments in made:
        env = gymnasium.make(env_id, max_episode_steps=5, **arguments)
        assert env.spec is not None and env.spec.max_episode_steps == 5
        assert env.spec.kwargs == arguments == json.loads(json.dumps(arguments))
        for spec in (pickle.loads(pickle.dumps(env.spec)), EnvSpec.from_json(env.spec.to_json())):
            assert spec == env.spec
            again = spec.make()
            assert again.spec == env.spec and repr(again) == repr(env)
            again.close()
        env.close()


@pytest.mark.docker
def test_wrappers_that_limit_and_count(tiny_suite: Path, tiny_prepared: PreparedTask) -> None:  # noqa: ARG001
    made = gymnasium.make(REPO, suites=str(tiny_suite), max_episode_steps=2, render_mode="ansi")
    env = RecordEpisodeStatistics(made)
    observation, info = env.reset(seed=1)
    assert observation == PROBLEM == env.render() and "episode" not in info
    env.step(say("echo hello"))
    assert env.render() == "$ echo hello\nexit code: 0\nhello"
    _, reward, terminated, truncated, info = env.step(say("ls"))
    assert (reward, terminated, truncated, info["ending"]) == (0.0, False, True, None), "gymnasium's limit, not ours"
    assert (info["episode"]["l"], info["episode"]["r"]) == (2, 0.0)
    env.reset()
    env.step(say(FIX))
    _, _, terminated, _, info = env.step(say("submit"))
    assert terminated and (info["episode"]["l"], info["episode"]["r"]) == (2, 1.0)
    assert list(env.return_queue) == [0.0, 1.0]
    env.close()


@pytest.mark.docker
def test_equal_seeds_draw_equal_tasks(many: list[PreparedTask]) -> None:
    env = RepoEnv(tasks=many)

    def drawn(seed: int) -> list[str]:
        return [env.reset(seed=seed)[1]["task_id"], env.reset()[1]["task_id"], env.reset()[1]["task_id"]]

    first = drawn(5)
    assert drawn(5) == first
    assert len({*first, *drawn(6)}) > 1
    env.close()


# ------------------------------------------------------------------------------------------------------------- vectors
@pytest.mark.docker
@MODES
def test_the_next_step_resets(
    mode: str,
    tiny_suite: Path,
    tiny_prepared: PreparedTask,  # noqa: ARG001
    docker_client: docker.DockerClient,
) -> None:
    envs = RecordVectorStatistics(vector(mode, suites=str(tiny_suite), max_steps=3, render_mode="ansi"))
    try:
        envs.reset(seed=3)
        assert envs.render() == (PROBLEM, PROBLEM)
        envs.step((say("touch a"), say(FIX)))
        assert envs.render()[0] == "$ touch a\nexit code: 0"
        observations, rewards, terminated, truncated, infos = envs.step((say("ls"), say("submit")))
        assert observations == ("exit code: 0\na\nadder.py", "submitted")
        assert (list(rewards), list(terminated), list(truncated)) == ([0, 1], [False, True], [False, False])
        assert list(infos["ending"]) == [None, Ending.SUBMITTED] and infos["verdict"][1].solved is True
        assert list(infos["_episode"]) == [False, True]
        assert (infos["episode"]["r"][1], infos["episode"]["l"][1]) == (1.0, 2)
        observations, rewards, terminated, truncated, infos = envs.step((say("ls"), say("not used")))
        assert observations == ("exit code: 0\na\nadder.py", PROBLEM)
        assert (list(rewards), list(terminated), list(truncated)) == ([0, 0], [False, False], [True, False])
        assert list(infos["ending"]) == [Ending.STEP_LIMIT, None] and list(infos["step"]) == [3, 0]
        observations, *_ = envs.step((say("not used"), say("ls; cat adder.py")))
        assert observations == (PROBLEM, "exit code: 0\nadder.py\ndef add(a, b):\n    return a - b")
        present = owned(docker_client, None if mode == "sync" else envs)
        assert len(present) == 2
    finally:
        envs.close()
    assert not any_left(docker_client, present)


@pytest.mark.docker
@MODES
def test_the_same_step_resets(mode: str, tiny_suite: Path, tiny_prepared: PreparedTask) -> None:  # noqa: ARG001
    envs = vector(mode, suites=str(tiny_suite), max_steps=2, autoreset=AutoresetMode.SAME_STEP)
    try:
        envs.reset(seed=3)
        _, _, _, _, infos = envs.step((say(FIX), "malformed"))
        assert "final_info" not in infos and list(infos["malformed"]) == [0, 1]
        observations, rewards, terminated, truncated, infos = envs.step((say("submit"), say("ls")))
        assert observations == (PROBLEM, PROBLEM)
        assert list(infos["final_obs"]) == ["submitted", "exit code: 0\nadder.py"]
        assert (list(rewards), list(terminated), list(truncated)) == ([1, 0], [True, False], [False, True])
        final = infos["final_info"]
        assert list(final["ending"]) == [Ending.SUBMITTED, Ending.STEP_LIMIT]
        assert final["score"][0].value == 1.0 and final["verdict"][1] is None
        assert list(final["step"]) == [2, 2] and list(infos["step"]) == [0, 0]
        assert list(infos["ending"]) == [None, None] and [len(chat) for chat in infos["messages"]] == [2, 2]
        assert envs.step((say("ls"), say("ls")))[0] == ("exit code: 0\nadder.py",) * 2
    finally:
        envs.close()


@pytest.mark.docker
@MODES
def test_only_the_caller_resets(mode: str, tiny_suite: Path, tiny_prepared: PreparedTask) -> None:  # noqa: ARG001
    envs = vector(mode, suites=str(tiny_suite), autoreset=AutoresetMode.DISABLED)
    try:
        envs.reset(seed=3)
        envs.step((say("touch a"), say("touch b")))
        _, _, terminated, truncated, _ = envs.step((say("ls"), say("submit")))
        assert list(terminated) == [False, True]
        observations, infos = envs.reset(options={"reset_mask": np.logical_or(terminated, truncated)})
        assert observations == ("exit code: 0\na\nadder.py", PROBLEM) and list(infos["_task_id"]) == [False, True]
        assert envs.step((say("ls"), say("ls")))[0] == ("exit code: 0\na\nadder.py", "exit code: 0\nadder.py")
    finally:
        envs.close()


@pytest.mark.docker
@MODES
def test_copies_get_seeds_of_their_own(mode: str, many: list[PreparedTask]) -> None:
    env = RepoEnv(tasks=many)
    expected = [env.reset(seed=11 + k)[1]["task_id"] for k in range(3)]
    env.close()
    assert len(set(expected)) > 1
    envs = vector(mode, 3, tasks=many)
    try:
        for _ in range(2):
            assert list(envs.reset(seed=11)[1]["task_id"]) == expected
    finally:
        envs.close()


@pytest.mark.docker
@MODES
@pytest.mark.parametrize("autoreset", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_lost_sandbox_leaves_the_other_copies_alone(
    mode: str,
    autoreset: AutoresetMode,
    tiny_suite: Path,
    tiny_prepared: PreparedTask,  # noqa: ARG001
    docker_client: docker.DockerClient,
) -> None:
    envs = vector(mode, suites=str(tiny_suite), autoreset=autoreset)
    try:
        envs.reset()
        envs.step((say("touch first"), say("touch mine")))
        for container in owned(docker_client, None if mode == "sync" else envs):
            if b"first" in container.exec_run("ls /testbed").output:
                container.remove(force=True)
        observations, rewards, terminated, truncated, infos = envs.step((say("ls"), say("ls")))
        last = infos["final_info"] if autoreset is AutoresetMode.SAME_STEP else infos
        assert last["ending"][0] is Ending.INFRASTRUCTURE and last["score"][0].value is None
        assert "SandboxLostError" in last["error"][0]
        assert (rewards[0], terminated[0], truncated[0]) == (0, True, False)
        assert observations[1] == "exit code: 0\nadder.py\nmine" and not terminated[1]
        if autoreset is AutoresetMode.NEXT_STEP:
            observations, *_ = envs.step((say("not used"), say("true")))
        assert observations[0] == PROBLEM
        assert envs.step((say("ls"), say("ls")))[0] == ("exit code: 0\nadder.py", "exit code: 0\nadder.py\nmine")
    finally:
        envs.close()


@pytest.mark.docker
def test_killed_workers_leave_no_containers(
    tiny_suite: Path,
    tiny_prepared: PreparedTask,  # noqa: ARG001
    docker_client: docker.DockerClient,
) -> None:
    envs = vector("async", suites=str(tiny_suite))
    envs.reset()
    present = owned(docker_client, envs)
    assert len(present) == 2
    for process in envs.unwrapped.processes:
        process.kill()
        process.join()
    envs.close(terminate=True)
    end = time.monotonic() + 60
    while any_left(docker_client, present) and time.monotonic() < end:
        time.sleep(0.2)
    assert not any_left(docker_client, present)


# ------------------------------------------------------------------------------------------------------- expert replay
def test_arguments_of_a_made_replay_are_checked(tiny_suite: Path, expert_file: str) -> None:
    suites = str(tiny_suite)
    for wrong, reason in (
        ({"trajectory": 2}, "holds 2"),
        ({"trajectory": -3}, "holds 2"),
        ({"trajectory": True}, "a number or"),
        ({"trajectory": "adder#9"}, "holds no 'adder#9'"),
        ({"task": "tinysuite/adder"}, "task"),
        ({"max_steps": 0}, "max_steps"),
    ):
        with pytest.raises(ConfigError, match=reason):
            make_expert_replay(suites, expert_file, **wrong)
    with pytest.raises(TrajectoryError, match=r"none\.jsonl"):
        make_expert_replay(suites, "none.jsonl")
    for wanted, identity in ((0, "adder#1"), (-1, "adder#2"), ("adder#2", "adder#2")):
        env = make_expert_replay(suites, expert_file, wanted)
        assert env.trajectory.trajectory_id == identity
        env.close()


@pytest.mark.docker
def test_gymnasiums_own_checks_of_a_replay(
    tiny_suite: Path,
    expert_file: str,
    tiny_prepared: PreparedTask,  # noqa: ARG001
) -> None:
    env = make_expert_replay(str(tiny_suite), expert_file, render_mode="ansi")
    try:
        with pytest.warns(UserWarning, match="different from the unwrapped"):
            check_env(env, skip_render_check=True)
    finally:
        env.close()


@pytest.mark.docker
@MODES
def test_a_vector_of_replays(
    mode: str,
    tiny_suite: Path,
    expert_file: str,
    tiny_expert: Trajectory,
    tiny_prepared: PreparedTask,  # noqa: ARG001
) -> None:
    if mode == "async":
        envs = vector(mode, env_id=REPLAY, suites=str(tiny_suite), trajectories=expert_file, trajectory="adder#1")
    else:
        wrappers = [lambda env: ExpertReplay(env, tiny_expert), RecordEpisodeStatistics]
        envs = vector(mode, suites=str(tiny_suite), wrappers=wrappers)
    try:
        envs.reset(seed=1)
        for k, step in enumerate(tiny_expert.steps):
            _, rewards, terminated, truncated, infos = envs.step((say(step.action), "malformed"))
            assert list(rewards) == [1.0, -1.0] and list(infos["expert_step"]) == [k, k]
            assert list(terminated) == [k == 3] * 2 and list(truncated) == [False] * 2
        assert [verdict.solved for verdict in infos["verdict"]] == [True, True], "the expert acted"
        if mode == "sync":
            assert list(infos["episode"]["r"]) == [4.0, -4.0]
        assert envs.step(("not used", "not used"))[0] == (PROBLEM, PROBLEM)
        observations, _ = envs.reset(options={"step": 2})
        assert observations == ("exit code: 0\nedited adder.py",) * 2
    finally:
        envs.close()
