"""Optimisers by name: AdamW with float32 moments, or with moments of 8 bits (arXiv 2110.02861) by bitsandbytes.

Eight bits take 2 bytes a trained weight for the two moments instead of 8. On a CPU bitsandbytes works too, but its step
takes some 50 times that of torch's fused one (20 million weights: 1.07 s against 0.02 s on one core of an EPYC), so
that there it is for memory alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch

from srl_swe.errors import MissingDependencyError
from srl_swe.training.config import OptimizerName

_BETAS, _EPSILON = (0.9, 0.95), 1e-8


def make_optimizer(
    name: OptimizerName, weights: Sequence[torch.Tensor], *, weight_decay: float
) -> torch.optim.Optimizer:
    """Make an optimiser of float32 ``weights``, whose learning rate is 0 until it is set.

    Tensors of fewer than 4,096 weights keep float32 moments under ``adamw8bit`` too.

    Raises:
        MissingDependencyError: bitsandbytes is not installed.
    """
    if name == "adamw":
        fused = all(weight.device.type in ("cpu", "cuda") for weight in weights)
        return torch.optim.AdamW(weights, lr=0.0, betas=_BETAS, eps=_EPSILON, weight_decay=weight_decay, fused=fused)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch.jit, at its import
            from bitsandbytes import optim
    except ImportError as error:
        raise MissingDependencyError(
            f"optimizer {name!r} needs bitsandbytes ({error}); run: pip install 'srl-swe[bitsandbytes]'"
        ) from error
    make: Callable[..., torch.optim.Optimizer] = optim.AdamW8bit
    return make(weights, lr=0.0, betas=_BETAS, eps=_EPSILON, weight_decay=weight_decay)
