"""How far the learner's gradients are from those of one plain pass a sample, in float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from srl_swe.policies.models import LoadedModel
from srl_swe.records import Sample
from srl_swe.training.learner import Learner


def errors(loaded: LoadedModel, learner: Learner, samples: list[Sample]) -> dict[str, float]:
    """Relative errors of the worst parameter's gradient, and of the whole one.

    The old log-probabilities are the learner's own, as TRL takes them where nothing was updated in between.
    """
    samples = _with_own_logprobs(learner, samples)
    plain = _plain(loaded, samples)
    learner.backward(samples)
    packed = _take(learner.parameters)
    return {
        "gradient_error": max(_relative([a], [b]) for a, b in zip(packed, plain, strict=True)),
        "gradient_error_whole": _relative(packed, plain),
        "parameters": len(plain),
    }


def _with_own_logprobs(learner: Learner, samples: list[Sample]) -> list[Sample]:
    scored = []
    for sample, own in zip(samples, learner.score(samples), strict=True):
        padding = (0.0,) * (len(sample.token_ids) - len(own))
        scored.append(replace(sample, old_logprobs=(*padding, *own)))
    return scored


def _plain(loaded: LoadedModel, samples: list[Sample]) -> list[torch.Tensor]:
    """GRPO's gradient where old and new probabilities are equal: the mean of each sample's advantage · mean log π.

    Each pass is in float32; their sum is in float64, so that the order of the samples is no part of what is compared.
    """
    parameters = [p for p in loaded.model.parameters() if p.requires_grad]
    sums = [torch.zeros_like(p, dtype=torch.float64) for p in parameters]
    for sample in samples:
        ids, mask = torch.tensor([sample.token_ids]), torch.tensor(sample.loss_mask)[1:]
        logprobs = torch.log_softmax(loaded.model(ids, use_cache=False).logits[0, :-1][mask], -1)
        chosen = logprobs.gather(1, ids[0, 1:][mask][:, None])
        (-sample.advantage * chosen.mean() / len(samples)).backward()
        for total, gradient in zip(sums, _take(parameters), strict=True):
            total += gradient
    return sums


def _take(parameters: Sequence[torch.nn.Parameter]) -> list[torch.Tensor]:
    gradients = []
    for parameter in parameters:
        assert parameter.grad is not None
        gradients.append(parameter.grad.double())
        parameter.grad = None
    return gradients


def _relative(a: Sequence[torch.Tensor], b: Sequence[torch.Tensor]) -> float:
    distance = torch.stack([(x - y).norm() for x, y in zip(a, b, strict=True)]).norm()
    return float(distance / torch.stack([y.norm() for y in b]).norm())
