"""Batches in their order; the next one sampled meanwhile, where that is asked for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from srl_swe.errors import NoSignalError
from srl_swe.records import Completion, Ending, Rollout, Score
from srl_swe.training.batch import Batch
from srl_swe.training.batch_log import BatchLog
from srl_swe.training.batch_source import BatchSource


class Counting:
    """An objective whose state is how many batches it has made, and that a test can hold up."""

    def __init__(self) -> None:
        self.made = self.version = 0
        self.threads: list[str] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def next_batch(self, update: int) -> Batch:
        assert self.may_go_on.wait(10)
        if update == 4:
            raise NoSignalError("no signal")
        self.made += 1
        self.threads.append(threading.current_thread().name)
        return Batch(samples=(), rollouts=(rollout(self.version),))

    def state_dict(self) -> dict[str, Any]:
        return {"made": self.made}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.made = state["made"]


def rollout(version: int) -> Rollout:
    return Rollout(
        instance_id="a#0",
        group=0,
        prompt_ids=(1,),
        completion=Completion(token_ids=(2,), logprobs=(-1.0,), text="b", finished=True),
        weight_version=version,
        score=Score(value=0.0),
        ending=Ending.SUBMITTED,
    )


def run(source: BatchSource, objective: Counting, updates: range) -> list[tuple[int, dict[str, Any]]]:
    """The version behind each update's batch, and the state after it."""
    seen = []
    for update in updates:
        batch = source.take(update, last=update == 3)
        seen.append((batch.rollouts[0].weight_version, dict(source.state)))
        source.wait()
        objective.version = update
    return seen


@pytest.mark.parametrize(("overlap", "versions"), [(False, [0, 1, 2]), (True, [0, 0, 1])])
def test_versions_and_states(tmp_path: Path, overlap: bool, versions: list[int]) -> None:
    objective = Counting()
    source = BatchSource(BatchLog(tmp_path), objective, overlap=overlap)  # type: ignore[arg-type]
    assert run(source, objective, range(1, 4)) == [(v, {"made": i + 1}) for i, v in enumerate(versions)]
    source.close()
    assert any(name.startswith("sampling") for name in objective.threads) == overlap
    # After a kill in update 2: from the log, without the objective, whatever the version is now.
    again = Counting()
    again.version = 9
    source = BatchSource(BatchLog(tmp_path), again, overlap=overlap)  # type: ignore[arg-type]
    assert run(source, again, range(2, 4)) == [(versions[1], {"made": 2}), (versions[2], {"made": 3})]
    source.close()
    assert again.threads == []


def test_the_next_batch_is_made_meanwhile_and_the_state_waits(tmp_path: Path) -> None:
    objective = Counting()
    source = BatchSource(BatchLog(tmp_path), objective, overlap=True)  # type: ignore[arg-type]
    source.take(1, last=False)
    source.wait()
    assert (objective.made, source.state) == (2, {"made": 1})
    objective.may_go_on.clear()
    source.take(2, last=False)  # does not wait for batch 3
    objective.may_go_on.set()
    source.close()


def test_what_went_wrong_is_said_when_the_batch_is_taken(tmp_path: Path) -> None:
    objective = Counting()
    source = BatchSource(BatchLog(tmp_path), objective, overlap=True)  # type: ignore[arg-type]
    source.take(3, last=False)
    source.wait()
    with pytest.raises(NoSignalError):
        source.take(4, last=False)
    source.close()
