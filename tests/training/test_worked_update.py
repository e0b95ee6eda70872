"""One SRL update worked through on paper, and reproduced to the last digit.

Two prompts, three rollouts each. The expert's action is ``ls -a`` at the first and ``pwd`` at the second one. The
reward is difflib's similarity of the actions, or -1 for an answer that is not in the form. T is the number of sampled
tokens, ρ = π / π_old of each of them.

=======  ==================  ======  ==  ===================
rollout  answer              reward  T   ρ
=======  ==================  ======  ==  ===================
a        ``ls -a``            1      2   1.5, 1
b        ``q``                0      1   0.9
c        malformed           -1      4   0.5, 1.1, 1, 1
d        ``pwd``              1      1   1.1
e        ``pwd``              1      2   0.7, 1.3
f        malformed           -1      2   1.5, 0.7
=======  ==================  ======  ==  ===================

Advantages, (r - mean) / std, with the population's std (arXiv 2510.25992, equation 3):

- first group: mean 0, variance (1 + 0 + 1) / 3, std √(2/3). With s = √(3/2): a = s, b = 0, c = -s.
- second group: mean 1/3, variance ((2/3)² + (2/3)² + (4/3)²) / 3 = 8/9, std 2√2/3. With q = 1/√2: d = e = q, f = -2q.

Surrogates, min(ρ A, clip(ρ, 0.8, 1.2) A), the mean over each response's tokens (equation 2):

- a: (1.2 s + s) / 2 = 1.1 s, the first token clipped
- b: 0
- c: (-0.8 s - 1.1 s - s - s) / 4 = -0.975 s, the first token clipped
- d: 1.1 q
- e: (0.7 q + 1.2 q) / 2 = 0.95 q, the second token clipped
- f: (-3 q - 1.6 q) / 2 = -2.3 q, the second token clipped

The loss is minus their mean over six responses:
-(1.1 s - 0.975 s + 1.1 q + 0.95 q - 2.3 q) / 6 = (0.25 q - 0.125 s) / 6.

Its gradient in a token's log-probability is -ρ A / (6 T), and 0 where the token is clipped. Six tokens are out of the
range [0.8, 1.2]: those four; e's first one, good but less likely than before; and f's first one, bad but likelier than
before. The last two are not clipped: the update must be able to take back what went the wrong way.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from srl_swe.records import Completion, Sampling, StepInstance
from srl_swe.training.config import TrainConfig
from srl_swe.training.data import EncodedInstance, SeededOrder, TrainingData
from srl_swe.training.losses import TrainedTokens
from srl_swe.training.step_reward import StepReward

S, Q = math.sqrt(3 / 2), math.sqrt(1 / 2)
FORM = "<think>\nx\n</think>\n```bash\n{}\n```"
EXPERTS = {"first": "ls -a", "second": "pwd"}
ROLLOUTS = {
    "first": [(FORM.format("ls -a"), [1.5, 1.0]), (FORM.format("q"), [0.9]), ("ls -a", [0.5, 1.1, 1.0, 1.0])],
    "second": [(FORM.format("pwd"), [1.1]), (FORM.format("pwd"), [0.7, 1.3]), ("no action", [1.5, 0.7])],
}
ADVANTAGES = {"first": [S, 0.0, -S], "second": [Q, Q, -2 * Q]}
GRADIENTS = {
    "first": [0.0, -S / 12, 0.0, 0.0, 1.1 * S / 24, S / 24, S / 24],
    "second": [-1.1 * Q / 6, -0.7 * Q / 12, 0.0, 3 * Q / 12, 0.0],
}
OLD = -2.0
"""Every sampled token's log-probability."""


class GivenEngine:
    """Says the rollouts above; a prompt's one token tells which."""

    weight_version = 0

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[list[Completion]]:
        assert n == 3
        assert sampling.temperature == 1.0
        return [
            [
                Completion(token_ids=(7,) * len(ratios), logprobs=(OLD,) * len(ratios), text=text, finished=True)
                for text, ratios in ROLLOUTS[self.names[prompt[0]]]
            ]
            for prompt in prompts
        ]


def test_the_update_of_the_docstring(tmp_path: Path) -> None:
    names = list(EXPERTS)
    instances = [
        EncodedInstance(
            instance=StepInstance(
                instance_id=name, task_id="t", split="train", step=0, messages=(), expert_action=EXPERTS[name]
            ),
            prompt_ids=(place,),
            answer_ids=(),
        )
        for place, name in enumerate(names)
    ]
    config = TrainConfig(out=tmp_path, trajectories=(tmp_path,), batch=2, group_size=3)
    objective = StepReward(
        TrainingData(instances=tuple(instances), too_long=0),
        config,
        GivenEngine(names),  # type: ignore[arg-type]
    )
    samples = objective.next_batch(1).samples
    drawn = [names[i] for i in SeededOrder(2, config.seed).take(2)]
    assert [s.advantage for s in samples] == pytest.approx([a for n in drawn for a in ADVANTAGES[n]], rel=1e-15)

    ratios = [ratio for name in drawn for _, each in ROLLOUTS[name] for ratio in each]
    counts = torch.tensor([sum(s.loss_mask) for s in samples])
    old = torch.full((len(ratios),), OLD, dtype=torch.float64)
    new = (old + torch.tensor(ratios, dtype=torch.float64).log()).requires_grad_()

    def each(values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64).repeat_interleave(counts)

    value = objective.loss.function(
        TrainedTokens(
            logprobs_N=new,
            old_logprobs_N=old,
            advantages_N=each([s.advantage for s in samples]),
            weights_N=each(objective.loss.token_weights(samples)),
            sample_N=torch.arange(6).repeat_interleave(counts),
        )
    )
    assert value.loss.item() == pytest.approx((0.25 * Q - 0.125 * S) / 6, rel=1e-13)
    assert value.clipped == 6
    (gradient,) = torch.autograd.grad(value.loss, new)
    assert gradient.tolist() == pytest.approx([g for name in drawn for g in GRADIENTS[name]], rel=1e-13, abs=1e-16)
