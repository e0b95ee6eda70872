"""Supervised Reinforcement Learning (arXiv 2510.25992): groups of completions, rewarded by similarity to the expert."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from srl_swe.environments.prompts import WHOLE_PROMPT, chat
from srl_swe.environments.scoring import score_action, score_actions
from srl_swe.environments.solutions import solution_chat, whole_solution
from srl_swe.policies.engine import Engine
from srl_swe.policies.models import LoadedModel
from srl_swe.records import Completion, Ending, Rollout, Sample, Sampling, Score, StepInstance, Trajectory
from srl_swe.training.batch import Batch
from srl_swe.training.config import TrainConfig
from srl_swe.training.data import (
    EncodedInstance,
    SeededOrder,
    TrainingData,
    encode_steps,
    read_training_steps,
    read_training_trajectories,
)
from srl_swe.training.groups import GroupSelection, completion_metrics, draw_seed
from srl_swe.training.losses import configured_loss
from srl_swe.training.samples import answer_sample


class StepReward:
    """G completions at each of some step instances; groups whose rewards vary too little are replaced.

    Args:
        data: Step instances.
        config: The run's.
        engine: Generates.
    """

    def __init__(self, data: TrainingData, config: TrainConfig, engine: Engine) -> None:
        self.data = data
        self.config = config
        self.engine = engine
        self.loss = configured_loss(config, longest_response=config.max_new_tokens)
        self.temperature = config.temperature
        self.order = SeededOrder(len(data.instances), config.seed)

    @property
    def about(self) -> str:
        """See `Objective.about`."""
        return self.data.about

    def next_batch(self, update: int) -> Batch:
        """See `Objective.next_batch`.

        Raises:
            NoSignalError: not one group varied.
        """
        samples: list[Sample] = []
        rollouts: list[Rollout] = []
        selection = GroupSelection(self.config)
        call = 0
        while count := selection.begin():
            for group in self._sample_groups(count, update, call, selection.ended):
                rollouts += group
                advantages = selection.judge([_reward(r) for r in group])
                samples += [
                    answer_sample(r.prompt_ids, r.completion.token_ids, r.completion.logprobs, a)
                    for r, a in zip(group, advantages or (), strict=advantages is not None)
                ]
            call += 1
        selection.require_one(_advice(rollouts))
        return Batch(samples=tuple(samples), rollouts=tuple(rollouts), metrics=_metrics(rollouts) | selection.metrics)

    def state_dict(self) -> dict[str, Any]:
        """See `Objective.state_dict`."""
        return {"position": self.order.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Objective.load_state_dict`."""
        self.order.position = state["position"]

    def _sample_groups(self, count: int, update: int, call: int, first: int) -> list[list[Rollout]]:
        instances = [self.data.instances[i] for i in self.order.take(count)]
        sampling = Sampling(
            max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature,
            seed=draw_seed(self.config.seed, update, call),
        )
        completions = self.engine.generate([i.prompt_ids for i in instances], self.config.group_size, sampling)
        return [
            [self._rollout(instance, first + offset, c) for c in group]
            for offset, (instance, group) in enumerate(zip(instances, completions, strict=True))
        ]

    def _rollout(self, encoded: EncodedInstance, group: int, completion: Completion) -> Rollout:
        score = self._score(completion.text, encoded.instance)
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

    def _score(self, text: str, instance: StepInstance) -> Score:
        if self.config.unit == "trajectory" and instance.domain == "repository":
            return score_actions(text, (instance.expert_action,), autojunk=self.config.autojunk)
        return score_action(text, instance.expert_action, autojunk=self.config.autojunk, domain=instance.domain)


def prepare_step_reward(config: TrainConfig) -> Callable[[LoadedModel, Engine], StepReward]:
    """Read the files; return what makes the objective for a model.

    Raises:
        ConfigError, TrajectoryError: a file is not there, wrong or held out.
    """
    if config.unit == "trajectory":
        steps = [whole_instance(trajectory) for trajectory in read_training_trajectories(config.trajectories)]
    else:
        steps = read_training_steps(
            config.trajectories,
            history=config.history,
            observation_chars=config.observation_chars,
            instances=config.instances,
        )

    def make(loaded: LoadedModel, engine: Engine) -> StepReward:
        data = encode_steps(steps, loaded.tokenizer, max_prompt_tokens=config.max_prompt_tokens)
        return StepReward(data, config, engine)

    return make


def whole_instance(trajectory: Trajectory) -> StepInstance:
    """All of a trajectory's actions that can run, or a whole solution, as one step, from the problem alone."""
    problem = trajectory.problem_statement
    if trajectory.domain == "mathematics":
        messages, whole = solution_chat(problem, (), wanted="answer"), whole_solution(trajectory)
    else:
        messages = ({"role": "system", "content": WHOLE_PROMPT}, chat(problem, ())[1])
        whole = "\n".join(step.action.strip() for step in trajectory.steps if step.runnable)
    return StepInstance(
        instance_id=f"{trajectory.trajectory_id}#whole",
        task_id=trajectory.task_id,
        split=trajectory.split,
        step=0,
        messages=messages,
        expert_action=whole,
        expert_thought=trajectory.steps[0].thought,
        domain=trajectory.domain,
    )


def _reward(rollout: Rollout) -> float:
    assert rollout.score.value is not None  # similarity needs nothing that could fail
    return rollout.score.value


def _metrics(rollouts: list[Rollout]) -> dict[str, float]:
    well_formed = [r for r in rollouts if r.score.parts["well_formed"]]
    similarities = [r.score.parts["similarity"] for r in well_formed]
    return {
        "reward_mean": sum(map(_reward, rollouts)) / len(rollouts),
        "similarity_mean": sum(similarities) / len(rollouts),
        "well_formed": len(well_formed) / len(rollouts),
        **completion_metrics(rollouts),
    }


def _advice(rollouts: list[Rollout]) -> str:
    malformed = sum(not r.score.parts["well_formed"] for r in rollouts)
    advice = "warm the model up by SFT first" if malformed > len(rollouts) / 2 else "lower min_reward_std"
    return f"({malformed} of {len(rollouts)} answers were malformed); {advice}"
