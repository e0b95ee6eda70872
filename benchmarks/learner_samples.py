"""Samples as one update of SRL has them: all steps of one real trajectory, G completions each."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Literal

from transformers import AutoTokenizer

from srl_swe.environments.actions import format_answer
from srl_swe.experts.formats.reading import read_file
from srl_swe.experts.instances import step_instances
from srl_swe.policies.chat import encode_answer, encode_prompt
from srl_swe.policies.models import default_model_folder
from srl_swe.records import Sample

Mode = Literal["full", "paper"]
"""``full``: the whole history; ``paper``: the last two action-observation pairs (arXiv 2510.25992)."""

LONGEST_COMPLETION = 256


def trajectory_samples(
    path: Path, mode: Mode, *, group: int = 8, observation_chars: int = 2000, steps: int | None = None, seed: int = 0
) -> list[Sample]:
    """Group after group: the samples of step 0, then those of step 1 …

    No model that samples well is at hand, and the learner's time depends on lengths and on what is shared alone: a
    completion is the expert's own answer up to a random place (what samples of one prompt agree in), and then tokens
    drawn from it, to 0.6 to 1.4 times its length, at most `LONGEST_COMPLETION`.
    """
    tokenizer = AutoTokenizer.from_pretrained(default_model_folder())
    trajectory = next(iter(read_file(path)))
    history = None if mode == "full" else 2
    instances = step_instances(trajectory, history=history, observation_chars=observation_chars)[:steps]
    draw = random.Random(seed)
    samples = []
    for instance in instances:
        prompt = encode_prompt(tokenizer, instance.messages)
        answer = format_answer(instance.expert_thought or "Next step.", instance.expert_action)
        expert = encode_answer(tokenizer, answer)[:LONGEST_COMPLETION]
        for _ in range(group):
            samples.append(_sample(prompt, _completion(expert, draw), draw.gauss(0, 1)))
    return samples


def synthetic_samples(*, steps: int, group: int, context: int, completion: int = 64, seed: int = 0) -> list[Sample]:
    """The same shape without a trajectory: a trunk of ``context`` tokens that grows evenly over the steps."""
    draw = random.Random(seed)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(draw.randrange(100, 40_000) for _ in range(count))

    trunk = ids(context)
    lengths = [context * (step + 1) // steps for step in range(steps)]
    return [_sample(trunk[:n], ids(completion), draw.gauss(0, 1)) for n in lengths for _ in range(group)]


def _completion(expert: tuple[int, ...], draw: random.Random) -> tuple[int, ...]:
    agreed = draw.randrange(1 + len(expert) // 2)
    length = max(2, min(LONGEST_COMPLETION, round(len(expert) * draw.uniform(0.6, 1.4))))
    own = draw.choices(expert, k=max(1, length - agreed - 1))
    return (*expert[:agreed], *own, expert[-1])


def _sample(prompt: tuple[int, ...], completion: tuple[int, ...], advantage: float) -> Sample:
    return Sample(
        token_ids=(*prompt, *completion),
        loss_mask=(False,) * len(prompt) + (True,) * len(completion),
        old_logprobs=(0.0,) * (len(prompt) + len(completion)),
        advantage=advantage,
    )
