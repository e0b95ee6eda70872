"""Which groups of rollouts are trained on (dynamic sampling: arXiv 2510.25992, section 3.3; arXiv 2503.14476)."""

from __future__ import annotations

from collections.abc import Sequence

from srl_swe.errors import NoSignalError
from srl_swe.records import Rollout
from srl_swe.training.advantages import group_advantages
from srl_swe.training.config import TrainConfig


class GroupSelection:
    """Says how many groups to begin, and which of them to keep, until a batch is full.

    A dropped group is made up for at once by one more, whatever becomes of the others, up to ``batch`` times
    ``max_refills`` more in all.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.begun = 0
        """Groups that were asked for."""
        self.ended = 0
        """Groups that were judged, or lost."""
        self.kept = 0
        """Groups to train on."""
        self._bound = config.batch * (1 + config.max_refills if config.dynamic_sampling else 1)

    def begin(self) -> int:
        """How many groups to begin now; they count as begun."""
        missing = self.config.batch - self.kept - (self.begun - self.ended)
        count = max(0, min(missing, self._bound - self.begun))
        self.begun += count
        return count

    def judge(self, rewards_G: Sequence[float]) -> list[float] | None:
        """The advantages of a group that has ended; ``None`` where it is dropped."""
        self.ended += 1
        if not rewards_G:
            return None
        advantages = group_advantages(
            rewards_G,
            min_std=self.config.min_reward_std if self.config.dynamic_sampling else None,
            scale=self.config.loss != "dr_grpo",
        )
        self.kept += advantages is not None
        return advantages

    def require_one(self, advice: str) -> None:
        """Raise `NoSignalError` where not one group was kept; ``advice`` is what to do about it."""
        if not self.kept:
            raise NoSignalError(
                f"not one of {self.ended} groups had rewards with a standard deviation above "
                f"{self.config.min_reward_std} {advice}"
            )

    @property
    def metrics(self) -> dict[str, float]:
        """Counts of kept and of sampled groups."""
        return {
            "kept_groups": self.kept,
            "sampled_groups": self.ended,
            "kept_fraction": self.kept / max(1, self.ended),
        }


def draw_seed(seed: int, update: int, call: int) -> int:
    """One number for each (seed, update, call): draws do not depend on what was drawn before a resume."""
    return ((seed * 1_000_003 + update) * 1_009 + call) % 2**63


def completion_metrics(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """How long completions are, how many met their limit, and how likely their tokens were."""
    tokens = sum(len(r.completion.token_ids) for r in rollouts)
    return {
        "response_tokens": tokens / len(rollouts),
        "token_limit": sum(not r.completion.finished for r in rollouts) / len(rollouts),
        "logprob_mean": sum(sum(r.completion.logprobs) for r in rollouts) / max(1, tokens),
    }
