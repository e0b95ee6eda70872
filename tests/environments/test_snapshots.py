"""States on an expert's path: right at every step, made once, flat, within their bounds."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from srl_swe.environments.repo import RepoEnv
from srl_swe.environments.snapshots import ExpertStates
from srl_swe.errors import SandboxError
from srl_swe.records import PreparedTask, Trajectory
from srl_swe.sandbox.owners import KIND_LABEL, OWNER_LABEL, this_process
from srl_swe.sandbox.pool import SandboxPool
from srl_swe.sandbox.protocol import SandboxSpec

pytestmark = pytest.mark.docker

ACTIONS = tuple(f"echo {k} >> /tmp/log; mkdir -p d{k}; cd d{k}; export K={k}" for k in range(1, 7))


def snapshots(client: docker.DockerClient) -> list[str]:
    filters = {"label": [f"{KIND_LABEL}=snapshot", f"{OWNER_LABEL}={this_process()}"]}
    return [image["Id"] for image in client.api.images(filters=filters)]


@pytest.fixture
def pool() -> Iterator[SandboxPool]:
    opened = SandboxPool()
    yield opened
    opened.close()


@pytest.fixture
def states(pool: SandboxPool, docker_client: docker.DockerClient) -> Iterator[ExpertStates]:
    opened = ExpertStates(pool, command_timeout_s=20)
    yield opened
    opened.close()
    assert snapshots(docker_client) == []


def test_every_step_is_reached_by_one_replay(states: ExpertStates, base_image: str) -> None:
    spec = SandboxSpec(image=base_image)
    for step in (4, 1, 6, 2, 4, 0):
        with states.open(spec, ACTIONS, step) as box:
            lines = "".join(f"{k}\n" for k in range(1, step + 1))
            folder = "/testbed" + "".join(f"/d{k}" for k in range(1, step + 1))
            seen = box.run("cat /tmp/log 2>/dev/null; pwd; echo $K").output
            assert seen == f"{lines}{folder}\n{step or ''}\n"
            box.run("echo spoilt > /tmp/log; rm -rf /testbed/d1")
    assert (states.replays, states.count) == (1, len(ACTIONS))


def test_layers_do_not_grow_with_the_step(
    states: ExpertStates, base_image: str, docker_client: docker.DockerClient
) -> None:
    states.open(SandboxSpec(image=base_image), ACTIONS, 1).close()
    base = len(docker_client.api.inspect_image(base_image)["RootFS"]["Layers"])
    depths = [len(docker_client.api.inspect_image(image)["RootFS"]["Layers"]) for image in snapshots(docker_client)]
    assert depths == [base + 1] * len(ACTIONS)


def test_what_was_used_longest_ago_goes_first(
    pool: SandboxPool, base_image: str, docker_client: docker.DockerClient
) -> None:
    spec = SandboxSpec(image=base_image)
    actions = tuple(f"head -c 2000000 /dev/urandom > /tmp/{k}" for k in range(4))  # 2, 4, 6, 8 MB
    states = ExpertStates(pool, capacity_mb=13, command_timeout_s=20)
    with states.open(spec, actions, 1) as box:
        assert box.run("ls /tmp").output == "0\n"
    assert states.size_mb <= 13
    assert states.count < 4
    assert len(snapshots(docker_client)) == states.count
    # What was pushed out is made again.
    for step in (4, 3, 2, 1):
        with states.open(spec, actions, step) as box:
            assert len(box.run("ls /tmp").output.split()) == step
        assert states.size_mb <= 13
    states.close()
    assert snapshots(docker_client) == []


def test_one_that_is_larger_than_the_cache_is_still_opened(pool: SandboxPool, base_image: str) -> None:
    states = ExpertStates(pool, capacity_mb=0, command_timeout_s=20)
    with states.open(SandboxSpec(image=base_image), ACTIONS, 3) as box:
        assert box.run("echo $K").output == "3\n"
    assert states.count == 0
    states.close()


def test_a_path_that_breaks_later_is_no_reason_to_fail_now(states: ExpertStates, tiny_prepared: PreparedTask) -> None:
    spec = SandboxSpec(image=tiny_prepared.image)
    with states.open(spec, ["cd /tmp", "echo \0"], 1) as box:
        assert box.run("pwd").output == "/tmp\n"
    with pytest.raises(SandboxError, match="NUL"):
        states.open(spec, ["cd /tmp", "echo \0"], 2)


def test_the_environment_opens_at_a_step_warm_or_not(
    tiny_prepared: PreparedTask, tiny_expert: Trajectory, docker_client: docker.DockerClient
) -> None:
    env = RepoEnv(tasks=[tiny_prepared], warm=1)
    for step in (2, 2, 0, 3):
        observation, info = env.reset(options={"trajectory": tiny_expert, "step": step})
        assert info["step"] == step
        if step:
            assert observation == tiny_expert.steps[step - 1].observation
        changed = "-    return a - b" in env.patch()
        assert changed == (step >= 2)
    env.close()
    assert snapshots(docker_client) == []
