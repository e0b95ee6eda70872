"""What the environments of an `EnvironmentBatch` answer: a `Row` each, a `BatchResult` together."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from srl_swe.errors import InfrastructureError
from srl_swe.records import Score


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BatchResult:
    """What N environments answered; row n of each field belongs to environment ``env_ids[n]``."""

    env_ids: NDArray[np.intp]
    """``[N]``: which environments, each at most once."""
    observations: tuple[str, ...]
    """``[N]``: empty where there is an error."""
    rewards: NDArray[np.float64]
    """``[N]``: 0 after a reset; NaN where there is none: after an error, and where ``info["score"]`` has no value."""
    terminated: NDArray[np.bool_]
    """``[N]``: the episode came to its end, or was lost by an error."""
    truncated: NDArray[np.bool_]
    """``[N]``: the episode was cut off."""
    infos: tuple[dict[str, Any], ...]
    """``[N]``: each environment's own ``info``."""
    errors: tuple[InfrastructureError | None, ...]
    """``[N]``: why there is no answer. With ``same_step`` also why no new episode follows the one that has ended."""

    @property
    def ended(self) -> NDArray[np.bool_]:
        """``[N]``: terminated or truncated."""
        return self.terminated | self.truncated

    def __len__(self) -> int:
        """N."""
        return len(self.env_ids)


@dataclasses.dataclass(kw_only=True, slots=True)
class Row:
    """What one environment answered; as it is made, that of a failure."""

    env_id: int
    observation: str = ""
    reward: float = math.nan
    terminated: bool = True
    truncated: bool = False
    info: dict[str, Any] = dataclasses.field(default_factory=dict)
    error: InfrastructureError | None = None
    fault: BaseException | None = None
    over: bool = True
    """Whether only a reset may follow."""


def reset_row(
    env_id: int, environment: gymnasium.Env[str, str], *, seed: int | None, options: Mapping[str, Any] | None
) -> Row:
    """Begin an episode."""
    observation, info = environment.reset(seed=seed, options=None if options is None else dict(options))
    return Row(env_id=env_id, observation=observation, reward=0.0, terminated=False, info=info, over=False)


def step_row(env_id: int, environment: gymnasium.Env[str, str], action: str, *, same_step: bool) -> Row:
    """Take a step; with ``same_step``, begin the next episode where this one has ended."""
    observation, reward, terminated, truncated, info = environment.step(action)
    score = info.get("score")
    row = Row(
        env_id=env_id,
        observation=observation,
        # What could not be scored has no reward, though gymnasium wants a number.
        reward=math.nan if isinstance(score, Score) and score.value is None else float(reward),
        terminated=bool(terminated),
        truncated=bool(truncated),
        info=info,
        over=bool(terminated or truncated),
    )
    return _begin_again(row, environment) if row.over and same_step else row


def gather(rows: Sequence[Row]) -> BatchResult:
    """Put rows together, in their order."""
    return BatchResult(
        env_ids=np.array([row.env_id for row in rows], dtype=np.intp),
        observations=tuple(row.observation for row in rows),
        rewards=np.array([row.reward for row in rows], dtype=np.float64),
        terminated=np.array([row.terminated for row in rows], dtype=np.bool_),
        truncated=np.array([row.truncated for row in rows], dtype=np.bool_),
        infos=tuple(row.info for row in rows),
        errors=tuple(row.error for row in rows),
    )


def _begin_again(row: Row, environment: gymnasium.Env[str, str]) -> Row:
    final = {"final_obs": row.observation, "final_info": row.info}
    try:
        observation, info = environment.reset()
    except InfrastructureError as error:
        return dataclasses.replace(row, observation="", info=final, error=error)
    return dataclasses.replace(row, observation=observation, info={**info, **final}, over=False)
