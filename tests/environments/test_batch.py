"""`EnvironmentBatch`: over a small environment of its own, and over real containers."""

from __future__ import annotations

import collections
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import docker
import gymnasium
import numpy as np
import pytest
from gymnasium.error import AlreadyPendingCallError, ClosedEnvironmentError, NoAsyncCallError, ResetNeeded

from srl_swe.environments.actions import format_answer
from srl_swe.environments.batch import EnvironmentBatch
from srl_swe.environments.expert_replay import ExpertReplay
from srl_swe.environments.repo import RepoEnv
from srl_swe.environments.spaces import UnicodeText
from srl_swe.errors import ConfigError, InfrastructureError, SandboxError
from srl_swe.records import Ending, PreparedTask, Trajectory
from srl_swe.sandbox.owners import OWNER_LABEL, this_process

PROBLEM = "add(2, 2) gives 0."
FIX = "str_replace_editor str_replace adder.py --old_str 'a - b' --new_str 'a + b'"


class Switchboard(gymnasium.Env[str, str]):
    """Does what the action says: ``wait`` waits for its gate, ``end`` and ``cut`` end, ``lose`` and ``err`` raise."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.observation_space = UnicodeText(1000)
        self.action_space = UnicodeText(1000)
        self.gate = gate or threading.Event()
        self.resets: list[tuple[int | None, dict[str, Any] | None]] = []
        self.lost_next = False
        self.closed = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.resets.append((seed, options))
        if self.lost_next or (options or {}).get("lose"):
            self.lost_next = False
            raise InfrastructureError("nothing there")
        return f"episode {len(self.resets)}", {"episode": len(self.resets)}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if action == "wait":
            assert self.gate.wait(60)
        if action in ("lose", "err", "exit"):
            raise {"lose": InfrastructureError, "err": ZeroDivisionError, "exit": SystemExit}[action](action)
        self.lost_next = action == "end and lose"
        return f"did {action}", 0.5, action.startswith("end"), action == "cut", {"did": action}

    def close(self) -> None:
        self.closed += 1
        self.gate.set()


@pytest.fixture(autouse=True)
def no_threads_stay() -> Iterator[None]:
    """Each test ends with the threads with which it began."""
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("environment")] == []


def batch_of(size: int, **arguments: Any) -> EnvironmentBatch:
    return EnvironmentBatch(Switchboard, size, **arguments)


def boards(batch: EnvironmentBatch) -> list[Switchboard]:
    return list(batch.environments)  # type: ignore[arg-type]


# --------------------------------------------------------------------------------------------------- without containers
def test_all_at_once() -> None:
    with batch_of(3) as batch:
        result = batch.reset(seed=10)
        assert len(batch) == len(result) == 3
        assert [board.resets for board in boards(batch)] == [[(10 + k, None)] for k in range(3)]
        assert list(result.env_ids) == [0, 1, 2] and result.observations == ("episode 1",) * 3
        assert list(result.rewards) == [0, 0, 0] and not result.ended.any() and result.errors == (None,) * 3
        result = batch.step(["a", "end", "cut"])
        assert result.observations == ("did a", "did end", "did cut")
        assert result.rewards.dtype == np.float64 and list(result.rewards) == [0.5] * 3
        assert list(result.terminated) == [False, True, False] and list(result.truncated) == [False, False, True]
        assert list(result.ended) == [False, True, True] and result.infos[1] == {"did": "end"}
        result = batch.reset(np.flatnonzero(result.ended)[::-1], seed=20, options=[{"x": 1}, None])
        assert list(result.env_ids) == [2, 1]
        assert boards(batch)[2].resets[-1] == (22, {"x": 1}) and boards(batch)[1].resets[-1] == (21, None)
        assert batch.step(["z", "y"], [2, 0]).observations == ("did z", "did y")


def test_one_that_waits_holds_back_no_other() -> None:
    with batch_of(3) as batch:
        batch.reset()
        batch.send(["wait", "a", "b"])
        first = batch.recv(min_ready=2)
        assert sorted(first.env_ids) == [1, 2]
        for _ in range(50):
            assert batch.step(["c"], [2]).observations == ("did c",)
        assert len(batch.recv(timeout_s=0.01)) == 0, "only the one that waits is under way"
        boards(batch)[0].gate.set()
        last = batch.recv(min_ready=3)
        assert list(last.env_ids) == [0] and last.observations == ("did wait",)


def test_misuse_is_told_at_once() -> None:
    for wrong in ({"size": 0}, {"size": 2, "workers": 0}, {"size": 2, "autoreset": "never"}):
        with pytest.raises(ConfigError, match=list(wrong)[-1]):
            EnvironmentBatch(Switchboard, **wrong)
    one = Switchboard()
    with pytest.raises(ConfigError, match="twice"):
        EnvironmentBatch(lambda: one, 2)
    batch = batch_of(2)
    with pytest.raises(NoAsyncCallError):
        batch.recv()
    with pytest.raises(ResetNeeded, match="environment 0"):
        batch.send(["a", "b"])
    batch.reset()
    wrong_calls: list[tuple[Callable[[], object], str]] = [
        (lambda: batch.send(["a"]), "actions"),
        (lambda: batch.send("ab"), "actions"),
        (lambda: batch.send(["a"], [2]), "env_ids"),
        (lambda: batch.send(["a"], [-1]), "env_ids"),
        (lambda: batch.send(["a", "b"], [1, 1]), "env_ids"),
        (lambda: batch.reset(seed=[1]), "seed"),
        (lambda: batch.reset(options=[{}]), "options"),
        (lambda: batch.recv(0), "min_ready"),
    ]
    for call, reason in wrong_calls:
        with pytest.raises(ConfigError, match=reason):
            call()
    batch.send(["a", "wait"])
    assert list(batch.recv().env_ids) == [0]
    with pytest.raises(AlreadyPendingCallError, match="environment 1 has a call under way"):
        batch.send(["a", "b"])
    boards(batch)[1].gate.set()
    batch.send(["c"], [0])
    while 1 not in batch.recv().env_ids:
        pass
    assert batch.step(["d"], [1]).observations == ("did d",)
    batch.close()
    batch.close()
    for call in (batch.recv, batch.reset, lambda: batch.send(["a", "b"])):
        with pytest.raises(ClosedEnvironmentError):
            call()


def test_a_failure_of_the_world_is_a_result_without_a_reward() -> None:
    with batch_of(3) as batch:
        result = batch.reset(options=[None, {"lose": True}, None])
        assert isinstance(result.errors[1], InfrastructureError) and result.errors[0] is result.errors[2] is None
        assert np.isnan(result.rewards[1]) and list(result.ended) == [False, True, False]
        with pytest.raises(ResetNeeded, match="environment 1"):
            batch.send(["a", "b", "c"])
        result = batch.step(["a", "lose"], [0, 2])
        assert result.observations == ("did a", "") and [type(e) for e in result.errors] == [
            type(None),
            InfrastructureError,
        ]
        assert not batch.reset([1, 2]).ended.any()
        assert batch.step(["a"] * 3).errors == (None,) * 3


def test_a_mistake_in_the_program_is_raised() -> None:
    with batch_of(3) as batch:
        batch.reset()
        for action, kind in (("err", ZeroDivisionError), ("exit", SystemExit)):
            batch.send(["a", action, "b"])
            with pytest.raises(kind, match=action) as raised:
                batch.recv(min_ready=3)
            assert raised.value.__notes__ == ["in environment 1 of the batch"]
            assert sorted(batch.recv(min_ready=3).env_ids) == [0, 2], "the others' results are not lost"
            batch.reset([1])
        with pytest.raises(ZeroDivisionError):
            batch.step(["a", "b", "err"])
        assert sorted(batch.recv().env_ids) == [0, 1]


def test_the_next_call_resets() -> None:
    with batch_of(2, autoreset="next_step") as batch:
        assert batch.step(["not used"] * 2).observations == ("episode 1",) * 2
        assert list(batch.step(["end", "lose"]).ended) == [True, True]
        result = batch.step(["not used"] * 2)
        assert result.observations == ("episode 2",) * 2 and list(result.rewards) == [0, 0] and not result.ended.any()
        assert batch.step(["a", "b"]).observations == ("did a", "did b")


def test_the_same_call_resets() -> None:
    with batch_of(3, autoreset="same_step") as batch:
        batch.reset()
        result = batch.step(["a", "end", "end and lose"])
        assert result.observations == ("did a", "episode 2", "")
        assert list(result.rewards) == [0.5] * 3 and list(result.terminated) == [False, True, True]
        final = {"final_obs": "did end", "final_info": {"did": "end"}}
        assert result.infos[:2] == ({"did": "a"}, {"episode": 2} | final)
        assert result.infos[2]["final_obs"] == "did end and lose" and isinstance(result.errors[2], InfrastructureError)
        assert batch.step(["a", "b", "not used"]).observations == ("did a", "did b", "episode 3")


def test_fewer_workers_than_environments() -> None:
    with batch_of(8, workers=2) as batch:
        batch.reset()
        for k in range(5):
            assert batch.step([f"{k}-{i}" for i in range(8)]).observations == tuple(f"did {k}-{i}" for i in range(8))


def test_closing_wakes_who_waits_and_closes_each() -> None:
    for interrupt in (True, False):
        gate = threading.Event()
        batch = EnvironmentBatch(lambda gate=gate: Switchboard(gate), 3)
        batch.reset()
        batch.send(["wait"] * 3)
        woken: list[type[BaseException]] = []

        def wait(batch: EnvironmentBatch = batch, woken: list[type[BaseException]] = woken) -> None:
            try:
                batch.recv()
            except Exception as error:
                woken.append(type(error))

        waiting = threading.Thread(target=wait)
        waiting.start()
        if not interrupt:
            threading.Timer(0.2, gate.set).start()
        batch.close(interrupt=interrupt)
        waiting.join()
        assert woken == [ClosedEnvironmentError]
        assert {board.closed for board in boards(batch)} == ({2} if interrupt else {1})


def test_what_was_made_is_closed_when_another_cannot_be() -> None:
    made: list[Switchboard] = []

    def make() -> Switchboard:
        if len(made) == 2:
            raise ConfigError("no third")
        made.append(Switchboard())
        return made[-1]

    with pytest.raises(ConfigError, match="no third"):
        EnvironmentBatch(make, 3)
    assert [board.closed for board in made] == [1, 1]


# ------------------------------------------------------------------------------------------------------ with containers
def say(command: str) -> str:
    return format_answer("I know.", command)


def containers(client: docker.DockerClient) -> list[Any]:
    return client.containers.list(all=True, filters={"label": f"{OWNER_LABEL}={this_process()}"}, ignore_removed=True)


@pytest.mark.docker
def test_a_slow_command_holds_back_no_other(tiny_prepared: PreparedTask, docker_client: docker.DockerClient) -> None:
    with EnvironmentBatch(functools.partial(RepoEnv, tasks=[tiny_prepared], max_steps=10_000), 3) as batch:
        batch.reset(seed=0)
        batch.send([say("sleep 3; echo slow"), say("echo 0"), say("echo 0")])
        counts = collections.Counter[int]()
        while True:
            result = batch.recv()
            for env_id, observation in zip(result.env_ids, result.observations, strict=True):
                expected = "slow" if env_id == 0 else str(counts[env_id])
                assert observation == f"exit code: 0\n{expected}"
                counts[env_id] += 1
            if counts[0]:
                break
            batch.send([say(f"echo {counts[env_id]}") for env_id in result.env_ids], result.env_ids)
        assert min(counts[1], counts[2]) >= 20
    assert not containers(docker_client)


@pytest.mark.docker
def test_sixteen_environments_keep_their_own_state(
    tiny_prepared: PreparedTask, docker_client: docker.DockerClient
) -> None:
    with EnvironmentBatch(functools.partial(RepoEnv, tasks=[tiny_prepared]), 16) as batch:
        assert batch.reset(seed=0).observations == (PROBLEM,) * 16
        assert len(containers(docker_client)) == 16
        order = np.random.default_rng(0).permutation(16)
        for k in range(4):
            batch.step([say(f"echo {i} >> log") for i in order], order)
            result = batch.step([say("cat log")] * 16)
            for i, observation in enumerate(result.observations):
                assert observation.split() == ["exit", "code:", "0", *[str(i)] * (k + 1)]
            assert [info["step"] for info in result.infos] == [2 * k + 2] * 16
    assert not containers(docker_client)


@pytest.mark.docker
def test_what_befalls_one_container_befalls_one(
    tiny_prepared: PreparedTask, docker_client: docker.DockerClient
) -> None:
    broken = dataclasses.replace(
        tiny_prepared,
        task=dataclasses.replace(tiny_prepared.task, task_id="tinysuite/broken"),
        image="srl-swe/no-such-image:latest",
    )
    good = {"task": "tinysuite/adder"}
    make = functools.partial(RepoEnv, tasks=[tiny_prepared, broken])
    with EnvironmentBatch(make, 3) as batch:
        result = batch.reset(options=[good, {"task": "tinysuite/broken"}, good])
        assert isinstance(result.errors[1], SandboxError) and np.isnan(result.rewards[1]) and result.ended[1]
        assert result.observations == (PROBLEM, "", PROBLEM)
        assert batch.reset([1], options=good).observations == (PROBLEM,)
        batch.step([say(f"touch {i}") for i in range(3)])
        for container in containers(docker_client):
            if b"1" in container.exec_run("ls /testbed").output.split():
                container.kill()
        result = batch.step([say("ls")] * 3)
        assert [info["ending"] for info in result.infos] == [None, Ending.INFRASTRUCTURE, None]
        assert result.infos[1]["score"].value is None and list(np.isnan(result.rewards)) == [False, True, False]
        assert [result.observations[i] for i in (0, 2)] == [f"exit code: 0\n{i}\nadder.py" for i in (0, 2)]
        with pytest.raises(ConfigError, match="no task"):
            batch.reset([1], options={"task": "tinysuite/nothing"})
        batch.reset([1], options=good)
        assert list(batch.step([say(FIX)] * 3).rewards) == [0.0] * 3
        result = batch.step([say("submit")] * 3)
        assert list(result.rewards) == [1.0] * 3 and result.terminated.all()
    assert not containers(docker_client)


@pytest.mark.docker
@pytest.mark.timeout(120)
def test_closing_while_commands_run(tiny_prepared: PreparedTask, docker_client: docker.DockerClient) -> None:
    make = functools.partial(RepoEnv, tasks=[tiny_prepared], command_timeout_s=3600)
    batch = EnvironmentBatch(make, 4)
    batch.reset()
    batch.send([say("sleep 3600")] * 2 + [say("submit")] * 2)
    assert len(batch.recv(timeout_s=0.1)) == 0
    batch.close()
    assert not containers(docker_client)


@pytest.mark.docker
def test_closing_while_containers_start(tiny_prepared: PreparedTask, docker_client: docker.DockerClient) -> None:
    for timeout_s in (0.0, 0.1, 0.3, 0.6):
        batch = EnvironmentBatch(functools.partial(RepoEnv, tasks=[tiny_prepared], warm=1), 3)
        batch.async_reset()
        batch.recv(timeout_s=timeout_s)
        batch.close()
        assert not containers(docker_client)


@pytest.mark.docker
def test_experts_of_one_batch(tiny_prepared: PreparedTask, tiny_expert: Trajectory) -> None:
    short = dataclasses.replace(tiny_expert, trajectory_id="adder#2", steps=tiny_expert.steps[1:])
    replays = (ExpertReplay(RepoEnv(tasks=[tiny_prepared]), expert) for expert in (tiny_expert, short))
    with EnvironmentBatch(lambda: next(replays), 2) as batch:
        batch.reset(options=[{"step": 1}, None])
        for k in range(3):
            result = batch.step([say(tiny_expert.steps[1 + k].action), "malformed"])
            assert list(result.rewards) == [1.0, -1.0] and list(result.terminated) == [k == 2] * 2
        assert [info["verdict"].solved for info in result.infos] == [True, True]
