"""The reference model of a KL term: the model as it was when the run began."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from srl_swe.policies.lora import has_lora
from srl_swe.policies.models import LoadedModel
from srl_swe.records import Sample

if TYPE_CHECKING:
    from srl_swe.training.learner import Learner


class Reference:
    """Gives samples the reference's log-probabilities. Made before the first update, and before a checkpoint is read.

    With an adapter it is the model without it; else a copy of all weights is kept, on the model's device.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._adapted = loaded if has_lora(loaded.model) else None
        self._parameters = [] if self._adapted else list(loaded.model.parameters())
        self._weights = [p.detach().clone() for p in self._parameters]

    def annotate(self, samples: Sequence[Sample], learner: Learner) -> tuple[Sample, ...]:
        """Return the samples with `Sample.reference_logprobs`."""
        with self._in_place():
            scored = learner.score(samples)
        return tuple(
            replace(sample, reference_logprobs=_at_trained(sample, logprobs))
            for sample, logprobs in zip(samples, scored, strict=True)
        )

    @contextlib.contextmanager
    def _in_place(self) -> Iterator[None]:
        """The model as the reference."""
        with self._adapted.reference() if self._adapted else contextlib.nullcontext():
            self._swap()
            try:
                yield
            finally:
                self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, kept in zip(self._parameters, self._weights, strict=True):
            current = parameter.detach().clone()
            parameter.copy_(kept)  # in place: FSDP gathers from where the weights were when it was set up
            kept.copy_(current)


def _at_trained(sample: Sample, logprobs: Sequence[float]) -> tuple[float, ...]:
    values = iter(logprobs)
    return tuple(next(values) if trained else 0.0 for trained in sample.loss_mask)
