"""Objectives: where an update's samples come from. The loop knows only the protocol.

============  ==================================  =====================  ======================
objective     samples                             score                  advantage
============  ==================================  =====================  ======================
`Imitation`   the expert's thought and action     none                   1
`StepReward`  G completions of each expert step   similarity, or -1      (r - mean) / std
============  ==================================  =====================  ======================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from srl_swe.environments.scoring import score_action
from srl_swe.errors import NoSignalError
from srl_swe.policies.engine import Engine
from srl_swe.records import Completion, Ending, Rollout, Sample, Sampling
from srl_swe.training.advantages import group_advantages
from srl_swe.training.config import TrainConfig
from srl_swe.training.data import EncodedInstance, SeededOrder, TrainingData
from srl_swe.training.losses import Loss, clipped_policy_gradient, negative_log_likelihood


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What one update trains on."""

    samples: tuple[Sample, ...]
    """Samples."""
    rollouts: tuple[Rollout, ...] = ()
    """All rollouts that were made for it, those of dropped groups too."""
    metrics: dict[str, float] = field(default_factory=dict)
    """What is logged."""


class Objective(Protocol):
    """Makes batches."""

    loss: Loss
    """What the learner minimises."""
    data: TrainingData
    """What it draws from."""

    def next_batch(self, update: int) -> Batch:
        """Make the batch of update number ``update``."""
        ...

    def sync(self, version: int) -> None:
        """Take over the learner's new weights, where the objective samples with them."""
        ...

    @property
    def position(self) -> int:
        """Place in the data order: with the update's number all of the state, for resuming."""
        ...

    @position.setter
    def position(self, value: int) -> None: ...


class _Ordered:
    """What both objectives share: the data, and a place in its order."""

    def __init__(self, data: TrainingData, config: TrainConfig) -> None:
        self.data = data
        self.config = config
        self.order = SeededOrder(len(data.instances), config.seed)

    @property
    def position(self) -> int:
        """Step instances taken so far."""
        return self.order.position

    @position.setter
    def position(self, value: int) -> None:
        self.order.position = value

    def take(self, count: int) -> list[EncodedInstance]:
        """The next step instances."""
        return [self.data.instances[i] for i in self.order.take(count)]


class Imitation(_Ordered):
    """Supervised fine-tuning on the expert's thought and action at each step."""

    loss = Loss(function=negative_log_likelihood, per_response=False)

    def next_batch(self, update: int) -> Batch:
        """See `Objective.next_batch`."""
        del update
        samples = tuple(_sample(i.prompt_ids, i.answer_ids, None, 1.0) for i in self.take(self.config.batch))
        return Batch(samples=samples)

    def sync(self, version: int) -> None:
        """Nothing is sampled."""


class StepReward(_Ordered):
    """Supervised Reinforcement Learning (arXiv 2510.25992): groups of completions, rewarded by similarity.

    Groups whose rewards vary too little are dropped and replaced by groups at the next step instances until the batch
    is full, or ``max_refills`` rounds have been made.
    """

    def __init__(self, data: TrainingData, config: TrainConfig, engine: Engine) -> None:
        super().__init__(data, config)
        self.engine = engine
        self.loss = Loss(function=clipped_policy_gradient(config.clip), per_response=True, clip=config.clip)

    def next_batch(self, update: int) -> Batch:
        """See `Objective.next_batch`.

        Raises:
            NoSignalError: not one group varied.
        """
        samples: list[Sample] = []
        rollouts: list[Rollout] = []
        kept = sampled = 0
        for refill in range(self.config.max_refills + 1):
            for group in self._sample_groups(self.config.batch - kept, update, refill, sampled):
                sampled += 1
                rollouts += group
                advantages = group_advantages([_reward(r) for r in group], min_std=self.config.min_reward_std)
                if advantages is None:
                    continue
                kept += 1
                samples += [
                    _sample(r.prompt_ids, r.completion.token_ids, r.completion.logprobs, a)
                    for r, a in zip(group, advantages, strict=True)
                ]
            if kept == self.config.batch:
                break
        if not kept:
            raise NoSignalError(_no_signal(sampled, rollouts, self.config.min_reward_std))
        return Batch(samples=tuple(samples), rollouts=tuple(rollouts), metrics=_metrics(rollouts, kept, sampled))

    def sync(self, version: int) -> None:
        """See `Objective.sync`."""
        self.engine.load(None, version)

    def _sample_groups(self, count: int, update: int, refill: int, first: int) -> list[list[Rollout]]:
        instances = self.take(count)
        sampling = Sampling(
            max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature,
            # One number for each (seed, update, refill): the draws do not depend on what was drawn before a resume.
            seed=((self.config.seed * 1_000_003 + update) * 1_009 + refill) % 2**63,
        )
        completions = self.engine.generate([i.prompt_ids for i in instances], self.config.group_size, sampling)
        return [
            [self._rollout(instance, first + offset, c) for c in group]
            for offset, (instance, group) in enumerate(zip(instances, completions, strict=True))
        ]

    def _rollout(self, encoded: EncodedInstance, group: int, completion: Completion) -> Rollout:
        score = score_action(completion.text, encoded.instance.expert_action, autojunk=self.config.autojunk)
        ending = Ending.SUBMITTED if score.parts["well_formed"] else Ending.MALFORMED
        return Rollout(
            instance_id=encoded.instance.instance_id,
            group=group,
            prompt_ids=encoded.prompt_ids,
            completion=completion,
            weight_version=self.engine.weight_version,
            score=score,
            ending=ending if completion.finished else Ending.TOKEN_LIMIT,
        )


def _sample(
    prompt_ids: tuple[int, ...], answer_ids: tuple[int, ...], logprobs: tuple[float, ...] | None, advantage: float
) -> Sample:
    before = len(prompt_ids)
    return Sample(
        token_ids=(*prompt_ids, *answer_ids),
        loss_mask=(False,) * before + (True,) * len(answer_ids),
        old_logprobs=(0.0,) * before + (logprobs or (0.0,) * len(answer_ids)),
        advantage=advantage,
    )


def _reward(rollout: Rollout) -> float:
    assert rollout.score.value is not None  # similarity needs nothing that could fail
    return rollout.score.value


def _metrics(rollouts: list[Rollout], kept: int, sampled: int) -> dict[str, float]:
    well_formed = [r for r in rollouts if r.score.parts["well_formed"]]
    similarities = [r.score.parts["similarity"] for r in well_formed]
    return {
        "reward_mean": sum(map(_reward, rollouts)) / len(rollouts),
        "similarity_mean": sum(similarities) / len(rollouts),
        "well_formed": len(well_formed) / len(rollouts),
        "kept_groups": kept,
        "sampled_groups": sampled,
        "response_tokens": sum(len(r.completion.token_ids) for r in rollouts) / len(rollouts),
        "token_limit": sum(r.ending is Ending.TOKEN_LIMIT for r in rollouts) / len(rollouts),
        "logprob_mean": sum(sum(r.completion.logprobs) for r in rollouts)
        / sum(len(r.completion.logprobs) for r in rollouts),
    }


def _no_signal(sampled: int, rollouts: list[Rollout], min_std: float) -> str:
    malformed = sum(not r.score.parts["well_formed"] for r in rollouts)
    advice = "warm the model up by SFT first" if malformed > len(rollouts) / 2 else "lower min_reward_std"
    return (
        f"not one of {sampled} groups had rewards with a standard deviation above {min_std} "
        f"({malformed} of {len(rollouts)} answers were malformed); {advice}"
    )
