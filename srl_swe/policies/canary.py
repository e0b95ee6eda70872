"""The canary: after each sync an engine's log-probabilities of some tokens are compared with the learner's.

An engine that silently kept old weights (all of them, one tied matrix, or keys and values in its prefix cache) gives
samples of another policy than the one that is trained, and nothing else shows it. Two things are looked at:

- the mean gap over all tokens. Rounding makes single log-probabilities differ by a third of a nat in bfloat16 now and
  then, but their mean over a hundred tokens by a twentieth, so that a mean says more than a maximum;
- whether the engine answers the same prompts with the same seed exactly as it did before, while the learner's
  log-probabilities of that answer have moved. That finds a sync that did nothing long before the mean gap shows it: one
  update moves log-probabilities by less than bfloat16 rounds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from srl_swe.errors import EngineMismatchError
from srl_swe.policies.engine import Engine
from srl_swe.records import Completion, Sample, Sampling

TOLERANCES = {"float32": 1e-4, "bfloat16": 0.08}
"""Largest mean difference of log-probabilities that rounding alone makes at temperature 1, by the model's precision.

Measured between vLLM and the learner with SmolLM2-135M on CPUs, prompts of 700 tokens, 32 tokens each:

- bfloat16: 0.034 to 0.056, with single tokens up to 0.36; weights that are 1, 2, 3, 4 updates of SFT at a learning rate
  of 3e-5 behind give 0.068, 0.074, 0.084, 0.107; an output layer that is 4 updates at 1e-3 behind the rest gives 0.046
  to 0.083, so that one that lags by little is not found in this precision;
- float32: 2e-6 to 1e-5; after one such update a missed sync gives 0.047, a stale prefix cache 0.029, a stale tied
  output layer 0.0027.
"""

PROMPTS = 4
"""Prompts that are enough, with `NEW_TOKENS` tokens each."""
NEW_TOKENS = 32

_MOVED = 0.05
"""The learner has moved where its log-probabilities of an answer have, on average, by this share of the tolerance."""

Score = Callable[[Sequence[Sample]], Sequence[Sequence[float]]]
"""Gives the learner's log-probabilities of each sample's trained tokens."""

Logprobs = Sequence[Sequence[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """How far apart two sets of log-probabilities of the same tokens are."""

    mean: float
    """Mean absolute difference."""
    largest: float
    """Largest absolute difference."""


class Canary:
    """A few fixed prompts that are answered after each sync, exactly as rollouts are.

    Generating tests what is used: the sampler, its temperature, and a prefix cache that the last round has filled.

    Args:
        engine: Generates.
        prompts: Token ids; some of those that are trained on.
        temperature: That of rollouts, and of the learner's log-probabilities.
        tolerance: Largest mean difference that passes at temperature 1; see `TOLERANCES`.
        max_new_tokens: Tokens compared a prompt.
    """

    def __init__(
        self,
        engine: Engine,
        prompts: Sequence[Sequence[int]],
        *,
        temperature: float,
        tolerance: float,
        max_new_tokens: int = NEW_TOKENS,
    ) -> None:
        self._engine = engine
        self._prompts = [tuple(prompt) for prompt in prompts]
        self._sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=0)
        self._tolerance = tolerance / (min(temperature, 1.0) or 1.0)  # rounded logits are divided by it
        self._last: tuple[list[Completion], Logprobs] | None = None

    def check(self, score: Score) -> Gap:
        """Return how far engine and learner are apart.

        Raises:
            EngineMismatchError: too far, or the engine has not changed though the learner has.
            InfrastructureError: the engine failed.
        """
        # First into the engine's prefix cache with the prompts, if it has one: from there it rounds, and so answers, in
        # another way, and only its weights may make a difference to the last time.
        self._engine.generate(self._prompts, 1, replace(self._sampling, max_new_tokens=1))
        answers = [group[0] for group in self._engine.generate(self._prompts, 1, self._sampling)]
        ours = score([_sample(prompt, answer) for prompt, answer in zip(self._prompts, answers, strict=True)])
        version = self._engine.weight_version
        gap = check_gap([a.logprobs for a in answers], ours, tolerance=self._tolerance, version=version)
        if self._last is not None and self._last[0] == answers:
            moved = _gap(self._last[1], ours).mean
            if moved > _MOVED * self._tolerance:
                raise EngineMismatchError(
                    f"weights {version}: the engine answers to the last digit as before, though the learner's "
                    f"log-probabilities of that have moved by {moved:.3g} on average: it has kept its old weights"
                )
        self._last = answers, ours
        return gap


def check_gap(engine: Logprobs, learner: Logprobs, *, tolerance: float, version: int = 0) -> Gap:
    """Return how far two sets of log-probabilities of the same tokens are apart.

    Raises:
        EngineMismatchError: their mean difference is above ``tolerance``, or not a number.
    """
    gap = _gap(engine, learner)
    if not gap.mean <= tolerance:
        raise EngineMismatchError(
            f"weights {version}: log-probabilities of {sum(map(len, engine))} tokens by the engine differ from the "
            f"learner's by {gap.mean:.3g} on average (at most {gap.largest:.3g}), and rounding makes no more than "
            f"{tolerance:g}: it does not generate with these weights"
        )
    return gap


def _gap(engine: Logprobs, learner: Logprobs) -> Gap:
    differences = [
        abs(theirs - ours)
        for row, learner_row in zip(engine, learner, strict=True)
        for theirs, ours in zip(row, learner_row, strict=True)
    ]
    return Gap(mean=sum(differences) / max(1, len(differences)), largest=max(differences, default=0.0))


def _sample(prompt: Sequence[int], answer: Completion) -> Sample:
    return Sample(
        token_ids=(*prompt, *answer.token_ids),
        loss_mask=(False,) * len(prompt) + (True,) * len(answer.token_ids),
        old_logprobs=(0.0,) * len(prompt) + answer.logprobs,
        advantage=0.0,
    )
