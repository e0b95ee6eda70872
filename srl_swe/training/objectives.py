"""Objectives by name: where an update's samples come from. The loop knows only `srl_swe.training.batch.Objective`.

=======  ================  ==================================  ========================  ======================
name     made by           samples                             score                     advantage
=======  ================  ==================================  ========================  ======================
sft      `Imitation`       the expert's thoughts and actions   none                      1
srl      `StepReward`      G completions of each expert step   similarity, or -1         (r - mean) / std
rlvr     `OutcomeReward`   G whole episodes of each task       hidden tests: 1 or 0      (r - mean) / std
=======  ================  ==================================  ========================  ======================
"""

from __future__ import annotations

from collections.abc import Callable

from srl_swe.policies.engine import Engine
from srl_swe.policies.engines import make_engine
from srl_swe.policies.models import LoadedModel
from srl_swe.training.batch import Objective
from srl_swe.training.config import ObjectiveName, TrainConfig
from srl_swe.training.imitation import prepare_imitation
from srl_swe.training.outcome_reward import prepare_outcome_reward
from srl_swe.training.step_reward import prepare_step_reward

Maker = Callable[[LoadedModel], Objective]


def read_objective(config: TrainConfig) -> Maker:
    """Read what the configured objective draws from; return what makes it for a model.

    Files come before the model, so that what is wrong with them is said at once.

    Raises:
        ConfigError, TaskError, TrajectoryError: a file is not there, wrong or held out.
    """
    return _KINDS[config.objective](config)


def _sampling(
    prepare: Callable[[TrainConfig], Callable[[LoadedModel, Engine], Objective]],
) -> Callable[[TrainConfig], Maker]:
    """Give an objective that samples its engine."""

    def read(config: TrainConfig) -> Maker:
        make = prepare(config)
        return lambda loaded: make(loaded, make_engine(config.engine, loaded, seed=config.seed, url=config.engine_url))

    return read


_KINDS: dict[ObjectiveName, Callable[[TrainConfig], Maker]] = {
    "sft": prepare_imitation,
    "srl": _sampling(prepare_step_reward),
    "rlvr": _sampling(prepare_outcome_reward),
}
