"""Reinforcement learning with verifiable rewards (RLVR): groups of whole episodes, rewarded by hidden tests."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from srl_swe.environments.episode_waves import EpisodeWaves, Start
from srl_swe.environments.episodes import EnvironmentFactory, Episode, repo_environment
from srl_swe.errors import ConfigError, InfrastructureError
from srl_swe.policies.engine import Engine
from srl_swe.policies.models import LoadedModel
from srl_swe.records import Ending, PreparedTask, Rollout, Sample, Score, Task
from srl_swe.tasks.folder import has_outcome, read_suites
from srl_swe.training.batch import Batch
from srl_swe.training.config import TrainConfig
from srl_swe.training.data import SeededOrder, read_training_trajectories
from srl_swe.training.episodes import EpisodeSampler
from srl_swe.training.groups import GroupSelection, completion_metrics
from srl_swe.training.losses import configured_loss
from srl_swe.training.reverse_curriculum import ReverseCurriculum
from srl_swe.training.samples import Turn, episode_samples

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Preparation = Callable[[Task], PreparedTask]
"""Builds a task's image where it is not there yet."""


@dataclass(kw_only=True)
class _Group:
    """Episodes of one task from one start."""

    task_id: str
    options: dict[str, Any]
    ended: int = 0
    scored: list[tuple[float, list[Turn]]] = field(default_factory=list)


class OutcomeReward:
    """G episodes of each of some tasks; groups whose verdicts do not vary are replaced.

    An episode that the infrastructure failed is tried once more, and then left out of its group and counted.

    Args:
        tasks: Training tasks.
        config: The run's.
        engine: Generates.
        tokenizer: Its chat template makes the contexts.
        curriculum: Where episodes start; ``None``: at the beginning.
        prepare: Builds a task's image.
        environments: Makes the environment of a task; real containers unless told otherwise.
    """

    def __init__(
        self,
        tasks: list[Task],
        config: TrainConfig,
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        *,
        curriculum: ReverseCurriculum | None,
        prepare: Preparation,
        environments: EnvironmentFactory,
    ) -> None:
        self.tasks, self.config, self.engine, self.tokenizer = tasks, config, engine, tokenizer
        self.curriculum, self.environments = curriculum, environments
        self.loss = configured_loss(config, longest_response=config.max_new_tokens * config.max_steps)
        self.temperature = config.temperature
        self.order = SeededOrder(len(tasks), config.seed)
        self._prepare = prepare
        self._prepared: dict[str, PreparedTask] = {}

    @property
    def about(self) -> str:
        """See `Objective.about`."""
        return f"{len(self.tasks)} tasks"

    def next_batch(self, update: int) -> Batch:
        """See `Objective.next_batch`.

        Raises:
            NoSignalError: not one group varied.
            InfrastructureError: not one episode could be run to its end.
        """
        sampler = EpisodeSampler(self.engine, self.tokenizer, self.config, update)
        harvest = _Harvest(self.config, self.curriculum)
        waves = EpisodeWaves(
            sampler.answer,
            self.environments,
            max_steps=self.config.max_steps,
            concurrency=self.config.environments,
            seed=self.config.seed,
        )
        waiting: deque[Start] = deque()
        self._begin(harvest, waiting)
        with contextlib.closing(waves.run(waiting)) as ended:
            for episode in ended:
                harvest.add(episode, sampler)
                self._begin(harvest, waiting)
        return harvest.batch()

    def state_dict(self) -> dict[str, Any]:
        """See `Objective.state_dict`."""
        left = self.curriculum.state_dict() if self.curriculum else {}
        return {"position": self.order.position, "curriculum": left}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Objective.load_state_dict`."""
        self.order.position = state["position"]
        if self.curriculum:
            self.curriculum.load_state_dict(state["curriculum"])

    def _begin(self, harvest: _Harvest, waiting: deque[Start]) -> None:
        """Begin the groups that are missing."""
        for index in self.order.take(harvest.selection.begin()):
            task = self.tasks[index]
            if task.task_id not in self._prepared:
                self._prepared[task.task_id] = self._prepare(task)
            options = self.curriculum.start(task.task_id) if self.curriculum else {}
            start = Start(
                prepared=self._prepared[task.task_id], options=options, group=harvest.open(task.task_id, options)
            )
            waiting.extend([start] * self.config.group_size)


class _Harvest:
    """What the episodes of one update came to."""

    def __init__(self, config: TrainConfig, curriculum: ReverseCurriculum | None) -> None:
        self.config, self.curriculum = config, curriculum
        self.selection = GroupSelection(config)
        self.groups: list[_Group] = []
        self.samples: list[Sample] = []
        self.rollouts: list[Rollout] = []
        self.episodes: list[Episode] = []
        self.failures: list[str] = []
        self._responses = 0

    def open(self, task_id: str, options: dict[str, Any]) -> int:
        """Begin a group; its number."""
        self.groups.append(_Group(task_id=task_id, options=options))
        return len(self.groups) - 1

    def add(self, episode: Episode, sampler: EpisodeSampler) -> None:
        """Take an episode that has ended; judge its group if it was the last one of it."""
        group, turns = self.groups[episode.group], sampler.take(episode)
        group.ended += 1
        if episode.failure is not None:
            self.failures.append(episode.failure)
            self.rollouts += sampler.rollouts(episode, turns, Score(value=None))
        else:
            solved = float(bool(episode.verdict and episode.verdict.solved))
            self.episodes.append(episode)
            self.rollouts += sampler.rollouts(episode, turns, Score(value=solved, parts={"solved": solved}))
            group.scored.append((solved, turns))
        if group.ended == self.config.group_size:
            self._judge(group)

    def batch(self) -> Batch:
        """All of it.

        Raises:
            NoSignalError: not one group varied.
            InfrastructureError: not one episode could be run to its end.
            ConfigError: not one had room for an answer.
        """
        if self.failures and not self.episodes:
            raise InfrastructureError(f"all {len(self.failures)} episodes were lost; the last one: {self.failures[-1]}")
        if not self.rollouts:
            most = self.config.max_prompt_tokens
            raise ConfigError(f"max_prompt_tokens: all {len(self.episodes)} episodes began with more than {most}")
        solved = sum(bool(e.verdict and e.verdict.solved) for e in self.episodes)
        easier = (
            "warm the model up first" if self.curriculum else "start at an expert's last steps (reverse_curriculum)"
        )
        what = "harder tasks are needed" if solved else easier
        self.selection.require_one(f"({solved} of {len(self.episodes)} episodes were solved); {what}")
        return Batch(samples=tuple(self.samples), rollouts=tuple(self.rollouts), metrics=self._metrics(solved))

    def _judge(self, group: _Group) -> None:
        rewards = [reward for reward, _ in group.scored]
        if self.curriculum and rewards:
            self.curriculum.record(group.task_id, group.options, sum(rewards) / len(rewards))
        advantages = self.selection.judge(rewards)
        for (_, turns), advantage in zip(group.scored, advantages or (), strict=advantages is not None):
            self.samples += episode_samples(turns, advantage, self._responses)
            self._responses += 1

    def _metrics(self, solved: int) -> dict[str, float]:
        count = len(self.episodes)
        answers = sum(len(e.transcript) for e in self.episodes)
        return {
            "reward_mean": solved / count,
            "solve_rate": solved / count,
            "well_formed": 1 - sum(e.malformed for e in self.episodes) / max(1, answers),
            "episodes": count,
            "episodes_lost": len(self.failures),
            "episode_steps": answers / count,
            "submitted": sum(e.ending is Ending.SUBMITTED for e in self.episodes) / count,
            "tampering": sum(bool(e.verdict and e.verdict.tampering) for e in self.episodes) / count,
            **completion_metrics(self.rollouts),
            **self.selection.metrics,
            **(self.curriculum.metrics if self.curriculum else {}),
        }


def prepare_outcome_reward(config: TrainConfig) -> Callable[[LoadedModel, Engine], OutcomeReward]:
    """Read the suites; return what makes the objective for a model.

    Raises:
        ConfigError, TaskError, TrajectoryError: a suite or a file is not there, wrong or held out.
    """
    tasks = [task for task in read_suites(config.suites, split="train", ids=config.tasks) if has_outcome(task)]
    if not tasks:
        raise ConfigError(f"suites: no training task with an outcome in {', '.join(map(str, config.suites))}")
    curriculum = (
        ReverseCurriculum(read_training_trajectories(config.trajectories)) if config.reverse_curriculum else None
    )

    def make(loaded: LoadedModel, engine: Engine) -> OutcomeReward:
        from srl_swe.tasks.prepare import prepare  # brings the docker client along

        return OutcomeReward(
            tasks,
            config,
            engine,
            loaded.tokenizer,
            curriculum=curriculum,
            prepare=partial(prepare, backend=config.backend),
            environments=partial(
                repo_environment,
                backend=config.backend,
                history=config.history,
                observation_chars=config.observation_chars,
            ),
        )

    return make
