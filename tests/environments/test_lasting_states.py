"""Snapshots of expert states that outlive their process: found again, opened at once, within their bounds."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from srl_swe.environments.lasting_states import LastingStates, state_key
from srl_swe.environments.repo import RepoEnv
from srl_swe.environments.snapshots import ExpertStates
from srl_swe.errors import ConfigError
from srl_swe.experts.replay import replay
from srl_swe.experts.trajectories import write_trajectories
from srl_swe.records import PreparedTask, Trajectory
from srl_swe.sandbox import sweep
from srl_swe.sandbox.pool import SandboxPool
from srl_swe.sandbox.protocol import SandboxSpec

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, docker_client: docker.DockerClient) -> Iterator[Path]:  # noqa: ARG001 -- an engine is there
    """A list of our own, emptied at the end."""
    monkeypatch.setenv("SRL_SWE_CACHE", str(tmp_path / "cache"))
    yield tmp_path
    LastingStates().clear()
    assert LastingStates().count == 0


def test_a_command_fills_it_and_another_process_opens_any_step(
    tiny_suite: Path, tiny_prepared: PreparedTask, tiny_expert: Trajectory, own_list: Path
) -> None:
    file = own_list / "t.jsonl"
    write_trajectories(file, [tiny_expert])
    line = [sys.executable, "-m", "srl_swe.cli", "replay", str(file), str(tiny_suite), "--snapshots"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "3 snapshots are kept" in done.stdout  # nothing stands after the submission
    assert LastingStates().count == 3
    sweep()  # the process that made them is dead

    pool = SandboxPool()
    states = ExpertStates(pool)
    actions = [step.action for step in tiny_expert.steps[:-1]]
    spec = SandboxSpec(image=tiny_prepared.image)
    for step in (3, 1, 2):
        with states.open(spec, actions, step) as box:
            seen = box.run('cat note.txt 2>/dev/null; git diff --stat | tail -n 1; echo "$WHO"').output
        assert ("done" in seen, "1 file changed" in seen, seen.endswith("expert\n")) == (step > 2, step > 1, True)
    assert (states.replays, states.count) == (0, 0)
    states.close()
    pool.close()

    env = RepoEnv(tasks=[tiny_prepared])
    observation, info = env.reset(options={"trajectory": tiny_expert, "step": 3})
    assert (observation, info["step"]) == ("exit code: 0", 3)
    assert "+    return a + b" in env.patch()
    env.close()
    assert LastingStates().count == 3
    again = subprocess.run(line, capture_output=True, text=True, check=False, timeout=300)
    assert "3 snapshots are kept" in again.stdout
    swept = subprocess.run(
        [*line[:3], "sandbox", "sweep", "--backend", "docker", "--snapshots"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 snapshots that were kept" in swept.stdout, swept.stderr


def test_what_was_used_longest_ago_makes_room(
    tiny_prepared: PreparedTask, tiny_expert: Trajectory, docker_client: docker.DockerClient
) -> None:
    spec = SandboxSpec(image=tiny_prepared.image)
    states = LastingStates(capacity_mb=5)
    with contextlib.closing(RepoEnv(tasks=[tiny_prepared])) as env:
        env.reset()
        for k in range(2):
            env.step(f"<think></think>\n```bash\nhead -c 2000000 /dev/urandom > /tmp/{k}\n```")
            assert env.keep_state(states)
            assert not env.keep_state(states)
    assert states.count == 1  # 2 MB made room for 4 MB
    assert 3 < states.size_mb <= 5

    # What somebody removed behind our back is made again, for this process.
    replay(tiny_expert, tiny_prepared, lasting=states)
    before = states.count
    key = state_key(spec, [step.action for step in tiny_expert.steps[:2]], command_timeout_s=60)
    reference = states.find(key)
    assert reference is not None
    docker_client.images.remove(reference)
    with contextlib.closing(RepoEnv(tasks=[tiny_prepared])) as env:
        env.reset(options={"trajectory": tiny_expert, "step": 2})
        assert "+    return a + b" in env.patch()
    assert states.count == before - 1
    assert states.find(key) is None


def test_a_broken_list_and_a_wrong_capacity_are_said(own_list: Path) -> None:
    with pytest.raises(ConfigError, match="at least 0"):
        LastingStates(capacity_mb=-1)
    states = LastingStates()
    states.clear()
    (lock,) = (own_list / "cache" / "states").iterdir()
    broken = lock.with_suffix(".json")
    broken.write_text('{"a": 1}')
    with pytest.raises(ConfigError, match="remove it"):
        states.find("a")
    broken.unlink()
