"""The SRL objective: groups, refills, advantages, with an engine that says what it is told."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from srl_swe.errors import NoSignalError
from srl_swe.records import Completion, Sampling, StepInstance
from srl_swe.training.config import TrainConfig
from srl_swe.training.data import EncodedInstance, TrainingData
from srl_swe.training.step_reward import StepReward

GOOD = "<think>\nx\n</think>\n```bash\nls -a\n```"
NEAR = "<think>\nx\n</think>\n```bash\nls\n```"
BAD = "ls -a"


class ScriptedEngine:
    """Answers the instances in turn from a list; each entry is one group's texts."""

    def __init__(self, groups: list[list[str]]) -> None:
        self.groups = groups
        self.calls: list[tuple[int, int | None]] = []
        self.weight_version = 0

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[list[Completion]]:
        self.calls.append((len(prompts), sampling.seed))
        return [[self._completion(text) for text in self.groups.pop(0)[:n]] for _ in prompts]

    def load(self, weights: object, version: int) -> None:
        del weights
        self.weight_version = version

    @staticmethod
    def _completion(text: str) -> Completion:
        ids = tuple(range(10, 10 + len(text.split())))
        return Completion(token_ids=ids, logprobs=(-0.5,) * len(ids), text=text, finished=True)


def objective(tmp_path: Path, groups: list[list[str]], **options: object) -> tuple[StepReward, ScriptedEngine]:
    instances = [
        EncodedInstance(
            instance=StepInstance(
                instance_id=f"t#{k}", task_id="t", split="train", step=k, messages=(), expert_action="ls -a"
            ),
            prompt_ids=(1, 2, k),
            answer_ids=(3,),
        )
        for k in range(6)
    ]
    settings: dict[str, object] = {"batch": 2, "group_size": 2, "max_refills": 2} | options
    config = TrainConfig(out=tmp_path, trajectories=(tmp_path,), **settings)  # type: ignore[arg-type]
    engine = ScriptedEngine(groups)
    return StepReward(TrainingData(instances=tuple(instances), too_long=0), config, engine), engine


def test_rewards_advantages_and_metrics(tmp_path: Path) -> None:
    made, _ = objective(tmp_path, [[GOOD, BAD], [GOOD, NEAR]])
    batch = made.next_batch(1)
    assert [r.score.value for r in batch.rollouts] == pytest.approx([1.0, -1.0, 1.0, 4 / 7])
    assert [s.advantage for s in batch.samples] == pytest.approx([1.0, -1.0, 1.0, -1.0])
    first = batch.samples[0]
    assert first.loss_mask[:3] == (False, False, False)
    assert all(first.loss_mask[3:])
    assert first.old_logprobs[3:] == (-0.5,) * (len(first.token_ids) - 3)
    assert batch.metrics["well_formed"] == 0.75
    assert batch.metrics["reward_mean"] == pytest.approx((1 - 1 + 1 + 4 / 7) / 4)


def test_groups_without_variance_are_replaced_until_the_batch_is_full(tmp_path: Path) -> None:
    made, engine = objective(tmp_path, [[GOOD, GOOD], [BAD, BAD], [GOOD, BAD], [NEAR, NEAR], [NEAR, BAD]])
    batch = made.next_batch(1)
    assert [calls for calls, _ in engine.calls] == [2, 2, 1]
    assert len({seed for _, seed in engine.calls}) == 3
    assert (batch.metrics["kept_groups"], batch.metrics["sampled_groups"]) == (2, 5)
    assert len(batch.samples) == 4
    assert len(batch.rollouts) == 10
    assert made.state_dict() == {"position": 5}


def test_a_batch_that_cannot_be_filled_goes_on_with_what_it_has(tmp_path: Path) -> None:
    made, _ = objective(tmp_path, [[GOOD, BAD], *([[BAD, BAD]] * 5)])
    assert made.next_batch(1).metrics["kept_groups"] == 1  # of 2, after 2 more times 2


def test_no_signal_at_all_is_an_error_not_an_empty_update(tmp_path: Path) -> None:
    made, _ = objective(tmp_path, [[GOOD, GOOD]] * 6)
    with pytest.raises(NoSignalError, match=r"not one of 6 groups .* lower min_reward_std"):
        made.next_batch(1)


def test_rollouts_carry_the_version_that_sampled_them(tmp_path: Path) -> None:
    made, engine = objective(tmp_path, [[GOOD, BAD]] * 4)
    made.next_batch(1)
    engine.load(None, 1)
    assert {r.weight_version for r in made.next_batch(2).rollouts} == {1}


def test_the_draws_of_an_update_do_not_depend_on_what_came_before(tmp_path: Path) -> None:
    first, engine = objective(tmp_path, [[GOOD, BAD]] * 4)
    first.next_batch(1)
    first.next_batch(2)
    other, again = objective(tmp_path, [[GOOD, BAD]] * 2)
    other.next_batch(2)
    assert again.calls[0] == engine.calls[1]
