"""``srl-swe experts instances``: cuts trajectories into step instances."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from srl_swe.commands.output import console
from srl_swe.environments.prompts import OBSERVATION_CHARS
from srl_swe.errors import ConfigError
from srl_swe.records import StepInstance

if TYPE_CHECKING:
    from srl_swe.experts.dataset import Tokens


def instances(
    files: Positional[tuple[Path, ...]],
    *,
    to: Path,
    history: int | Literal["all"] = 2,
    observation_chars: int = OBSERVATION_CHARS,
    budget: int | None = None,
    tokenizer: str | None = None,
    hint: Literal["none", "title", "thought"] = "none",
    skip_first: bool = False,
    pilot: Path | None = None,
    epsilon: float = 0.05,
    min_mean: float | None = None,
    max_mean: float | None = None,
    top: int | None = None,
    per_task: int | None = None,
) -> int:
    """Cut trajectories into step instances, written as JSON Lines with a card that says what is in them.

    Args:
        files: The trajectories, all of one split.
        to: File to write; the card goes beside it.
        history: Action-observation pairs that the student sees, or all.
        observation_chars: Longest observation shown, head and tail kept.
        budget: Most characters of all messages, or with --tokenizer most tokens; the oldest pairs are left out.
        tokenizer: A model, as for train: count --budget, and the lengths on the card, in its tokens.
        hint: What the student is told of the expert's next step.
        skip_first: Leave out each trajectory's first step, as the paper does.
        pilot: A step evaluation's results: keep only steps whose rewards vary.
        epsilon: With --pilot: keep a step if the standard deviation of its rewards exceeds this.
        min_mean: With --pilot: keep a step if its mean reward is at least this: others are too hard.
        max_mean: With --pilot: keep a step if its mean reward is at most this: others are too easy.
        top: With --pilot: keep this many at most, those that vary most.
        per_task: With --pilot: keep this many of each task at most.
    """
    from srl_swe.experts.cutting import cut_files
    from srl_swe.experts.dataset import Account, write_instances
    from srl_swe.experts.difficulty import read_pilot, select_informative

    _check(files, to)
    if pilot is None and (epsilon != 0.05 or any(one is not None for one in (min_mean, max_mean, top, per_task))):
        options = "--epsilon, --min-mean, --max-mean, --top and --per-task"
        raise ConfigError(f"{options} choose by a pilot's results: give --pilot")
    results = None if pilot is None else read_pilot(pilot)
    tokens, measure, room = _counting(tokenizer, budget)
    account = Account()
    chosen: Iterable[StepInstance] = cut_files(
        files,
        account,
        history=None if history == "all" else history,
        skip_first=skip_first,
        observation_chars=observation_chars,
        budget=room,
        measure=measure,
        hint=hint,
    )
    if results is not None:
        low, high = (-math.inf if min_mean is None else min_mean), (math.inf if max_mean is None else max_mean)
        chosen, reasons = select_informative(
            chosen, results, epsilon=epsilon, mean_at_least=low, mean_at_most=high, top=top, per_task=per_task
        )
        account.dropped.update(reasons)
    card = write_instances(to, chosen, account, tokens=tokens)
    left_out = ", ".join(f"{count} {reason}" for reason, count in card["dropped"].items()) or "none"
    console().print(f"written: {to}: {card['instances']} of {card['steps']} steps; dropped: {left_out}", markup=False)
    return 0


def _check(files: tuple[Path, ...], to: Path) -> None:
    if not files:
        raise ConfigError("expected at least one file of trajectories")
    if to.resolve() in [file.resolve() for file in files]:
        raise ConfigError(f"--to: {to} is one of the files that are read")


def _counting(tokenizer: str | None, budget: int | None) -> tuple[Tokens | None, Callable[[str], int], int | None]:
    """How the card counts, how a message is measured, and what all messages may measure together."""
    if tokenizer is None:
        return None, len, budget
    from srl_swe.experts.dataset import Tokens
    from srl_swe.policies.models import load_tokenizer
    from srl_swe.policies.token_counts import TokenCounter

    counter = TokenCounter(load_tokenizer(tokenizer))
    room = None if budget is None else budget - counter.opening
    if room is not None and room < 1:
        raise ConfigError(f"--budget: the chat template alone takes {counter.opening} tokens, got {budget}")
    return Tokens(tokenizer=tokenizer, count=counter.prompt, budget=budget), counter.message, room
