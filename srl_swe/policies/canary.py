"""The canary: after each sync an engine's log-probabilities of a few tokens are compared with the learner's.

An engine that silently kept old weights (all of them, one tied matrix, or keys and values in its prefix cache) gives
samples of another policy than the one that is trained, and nothing else shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from srl_swe.errors import EngineMismatchError
from srl_swe.policies.engine import Engine
from srl_swe.records import Sample, Sampling

TOLERANCES = {"float32": 1e-4, "bfloat16": 0.5}
"""Largest difference of a log-probability that rounding alone makes, by the model's precision."""

Score = Callable[[Sequence[Sample]], Sequence[Sequence[float]]]
"""Gives the learner's log-probabilities of each sample's trained tokens."""


class Canary:
    """A few fixed prompts that are answered after each sync, exactly as rollouts are.

    Generating tests what is used: the sampler, its temperature, and a prefix cache that the last round has filled.

    Args:
        engine: Generates.
        prompts: Token ids; two or three of those that are trained on.
        temperature: That of rollouts, and of the learner's log-probabilities.
        tolerance: Largest difference that passes; see `TOLERANCES`.
        max_new_tokens: Tokens compared a prompt.
    """

    def __init__(
        self,
        engine: Engine,
        prompts: Sequence[Sequence[int]],
        *,
        temperature: float,
        tolerance: float,
        max_new_tokens: int = 8,
    ) -> None:
        self._engine = engine
        self._prompts = [tuple(prompt) for prompt in prompts]
        self._sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=0)
        self._tolerance = tolerance

    def check(self, score: Score) -> float:
        """Return the largest difference.

        Raises:
            EngineMismatchError: it is above the tolerance.
            InfrastructureError: the engine failed.
        """
        groups = self._engine.generate(self._prompts, 1, self._sampling)
        samples = [
            Sample(
                token_ids=(*prompt, *completion.token_ids),
                loss_mask=(False,) * len(prompt) + (True,) * len(completion.token_ids),
                old_logprobs=(0.0,) * len(prompt) + completion.logprobs,
                advantage=0.0,
            )
            for prompt, (completion,) in zip(self._prompts, groups, strict=True)
        ]
        theirs = [completion.logprobs for (completion,) in groups]
        return check_canary(theirs, score(samples), tolerance=self._tolerance, version=self._engine.weight_version)


def check_canary(
    engine_logprobs: Sequence[Sequence[float]],
    learner_logprobs: Sequence[Sequence[float]],
    *,
    tolerance: float,
    version: int = 0,
) -> float:
    """Return the largest difference between two sets of log-probabilities of the same tokens.

    Raises:
        EngineMismatchError: it is above ``tolerance``, or not a number.
    """
    differences = [
        abs(theirs - ours)
        for row, learner_row in zip(engine_logprobs, learner_logprobs, strict=True)
        for theirs, ours in zip(row, learner_row, strict=True)
    ]
    largest = max(differences, default=0.0)
    if not all(difference <= tolerance for difference in differences):
        beyond = sum(not difference <= tolerance for difference in differences)
        raise EngineMismatchError(
            f"weights {version}: {beyond} of {len(differences)} log-probabilities of the engine differ from the "
            f"learner's by more than {tolerance:g} (at most {largest:.3g}): it does not generate with these weights"
        )
    return largest
