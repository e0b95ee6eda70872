"""One learner in several processes: PyTorch's FSDP2 for the weights, a share of each update's samples for each process.

Of float32 weights, gradients and optimiser state (16 bytes a parameter) each of P processes holds 1 / P. Whole are,
at a time, one layer, the embedding, the output layer and the final norm, in the precision of the passes; layers are
gathered in every pass, forward and back, and their gradients are summed in float32.

FSDP's messages need the same passes, in the same order, in every process; the tries of two shares need different
ones. So before each pass the processes agree whose turn it is (`_SharedTurns`): as long as one has to go forward, all
go forward, and then all go back; one that has nothing to do meanwhile makes a pass of one token that is not trained.
The alternative, all weights gathered once an update, needs no such passes and fewer messages, but whole weights and
whole gradients (4 to 8 bytes a parameter) in each process.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

from srl_swe.errors import SrlSweError
from srl_swe.policies.models import LoadedModel
from srl_swe.records import Sample
from srl_swe.training.learner import Learner, Packing, Tally
from srl_swe.training.losses import Loss
from srl_swe.training.packing import split
from srl_swe.training.passes import TreePasses, Turns, hidden_states
from srl_swe.training.processes import Processes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROOT_FORWARD = "_srl_swe_hidden_states"


class AbandonedError(SrlSweError):
    """Another process has failed in what all were doing; that one says why."""


def shard(model: PreTrainedModel, processes: Processes) -> None:
    """Spread a model's weights over the processes, in place; those that are trained become float32.

    Args:
        model: The same in every process. It may be on the CPU: layer by layer goes to the process's device.
        processes: All of them.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    mesh = init_device_mesh(processes.device, (processes.size,))
    policy = MixedPrecisionPolicy(param_dtype=model.dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    for module in (*layers, model):
        for parameter in module.parameters():
            if parameter.requires_grad and parameter.dtype != torch.float32:
                parameter.data = parameter.data.float()
        fully_shard(module, mesh=mesh, mp_policy=policy)
        assert isinstance(module, FSDPModule)
        # Gradients are summed: the denominators of the whole update are in the samples' weights.
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)
    # An output layer has no gradient in a pass after which no sample ends.
    model.set_reduce_scatter_unused_params(True)  # type: ignore[operator]
    # FSDP gathers the embedding, the output layer and the final norm for the outermost module's forward only.
    setattr(model, _ROOT_FORWARD, MethodType(hidden_states, model))
    register_fsdp_forward_method(model, _ROOT_FORWARD)


_FINISHED, _BACKWARD, _FORWARD, _FAILED = range(4)


class _SharedTurns(Turns):
    """See the module's docstring. The furthest of what processes ask for is what all do."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._idle: list[Tensor] = []
        self.finished = False

    def forward(self, idle: Callable[[], Tensor]) -> None:
        self._wait(_FORWARD, idle)

    def backward(self, idle: Callable[[], Tensor]) -> None:
        self._wait(_BACKWARD, idle)

    def finish(self, idle: Callable[[], Tensor]) -> None:
        self._wait(_FINISHED, idle)
        self._idle.clear()
        self.finished = True

    def fail(self) -> None:
        """Let the others know that no pass is to come from here."""
        self._idle.clear()
        self._processes.largest(_FAILED)

    def _wait(self, wanted: int, idle: Callable[[], Tensor]) -> None:
        while (agreed := self._processes.largest(wanted)) != wanted:
            if agreed == _FAILED:
                self._idle.clear()
                raise AbandonedError("another process failed")
            if agreed == _FORWARD:
                self._idle.append(idle())
            else:
                # All have gone forward as often. This process has gone back from all of its own: one is left here.
                hidden = self._idle.pop()
                hidden.backward(torch.zeros_like(hidden))  # type: ignore[no-untyped-call]


class ShardedLearner(Learner):
    """A `Learner` in several processes, each of which is to call the same methods with the same arguments.

    Equal to one process in loss and gradients. Optimiser state is sharded as the weights are.

    Args:
        loaded: The same in every process; its model is sharded in place.
        loss: See `Learner`, as for the others.
        processes: All of them.
        weight_decay: …
        max_grad_norm: …
        temperature: …
        packing: …
        max_tokens: …
        max_trained: …
        tokens_at_once: …

    Raises:
        ModelError: the model has dropout, or cannot be packed.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        loss: Loss,
        *,
        processes: Processes,
        weight_decay: float = 0.0,
        max_grad_norm: float = 1.0,
        temperature: float = 1.0,
        packing: Packing = "tree",
        max_tokens: int = 65_536,
        max_trained: int = 65_536,
        tokens_at_once: int = 4096,
    ) -> None:
        self._processes, self._group = processes, processes.group
        dtype = loaded.model.dtype
        shard(loaded.model, processes)
        super().__init__(
            loaded,
            loss,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            temperature=temperature,
            packing=packing,
            max_tokens=max_tokens,
            max_trained=max_trained,
            tokens_at_once=tokens_at_once,
        )
        self.passes.dtype = dtype
        self.passes.hidden_states = getattr(self.model, _ROOT_FORWARD)

    def backward(self, samples: Sequence[Sample]) -> Tally:
        """See `Learner.backward`: over the process's share; what was counted is that of all."""
        weights = self.loss.token_weights(samples)
        with self._together():
            own = self._share(samples)
            tally = self._backward([samples[i] for i in own], [weights[i] for i in own])
        return _together(self._processes.gather(tally))

    def score(self, samples: Sequence[Sample]) -> list[tuple[float, ...]]:
        """See `Learner.score`."""
        own, scores = list[int](), list[tuple[float, ...]]()
        with self._together():
            own = self._share(samples)
            scores = super().score([samples[i] for i in own])
        merged: list[tuple[float, ...]] = [()] * len(samples)
        for numbers, values in self._processes.gather((own, scores)):
            for number, value in zip(numbers, values, strict=True):
                merged[number] = value
        return merged

    @torch.no_grad()
    def copy_to(self, model: PreTrainedModel | None) -> None:
        """Copy the trained weights, whole, one at a time, to a model of one process; ``None`` in the others."""
        there = {} if model is None else dict(model.named_parameters())
        dtype = self.passes.dtype
        for name, master in zip(self.names, self.masters, strict=True):
            whole = _whole(master.to(dtype))
            if model is not None:
                there[name].copy_(whole)

    def _share(self, samples: Sequence[Sample]) -> list[int]:
        shares = split(samples, self._processes.size, packed=isinstance(self.passes, TreePasses))
        return shares[self._processes.rank]

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Passes of all processes; where one fails between two passes, all raise and none waits for ever."""
        self.passes.turns = turns = _SharedTurns(self._processes)
        try:
            yield
        except AbandonedError:
            raise
        except SrlSweError:
            if not turns.finished:
                turns.fail()
            raise
        finally:
            self.model.reshard()  # type: ignore[operator]

    def _clip_gradients(self) -> float:
        return float(_whole(torch.nn.utils.clip_grad_norm_(self.masters, self.max_grad_norm)))

    def _peak_memory_gb(self) -> float:
        peaks: list[float] = self._processes.gather(super()._peak_memory_gb())
        return max(peaks)


def _whole(tensor: Tensor) -> Tensor:
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _together(tallies: Sequence[Tally]) -> Tally:
    """What all processes counted; the same number in each, to the last bit."""
    values: dict[str, Any] = {
        field.name: sum(getattr(tally, field.name) for tally in tallies) for field in dataclasses.fields(Tally)
    }
    return Tally(**values | {"gap_max": max(tally.gap_max for tally in tallies)})
