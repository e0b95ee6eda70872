"""How the log-probabilities of samples are computed: as tries (`TreePasses`) or padded (`PaddedPasses`).

Both hand whole samples to a visitor, and go backward through the loss that it returns before they go on, so that no
more than one pass (for tries: one part and the parts above it) is in memory.

Shapes: N trained tokens of the samples handed over, laid end to end; n tokens of a pass; d hidden width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from srl_swe.policies.tree_attention import (
    KeptKeys,
    Kernel,
    TreePass,
    check_tree_model,
    choose_kernel,
    tree_attention,
)
from srl_swe.policies.tree_kernels import TreeLayout
from srl_swe.records import Sample
from srl_swe.training.packing import Ints, Part, Trie, pack
from srl_swe.training.token_logprobs import check_output_layer, token_logprobs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Visitor = Callable[[Sequence[int], Tensor, Tensor], Tensor | None]
"""``(sample numbers, logprobs_N, entropies_N) -> loss or None``; entropies have no gradient."""


class Turns:
    """When a pass may be made: in one process, at once. Several processes wait for one another."""

    def forward(self, idle: Callable[[], Tensor]) -> None:
        """Wait for the turn of a forward pass.

        Args:
            idle: Makes a pass of one token that is not trained, and returns its hidden states.
        """

    def backward(self, idle: Callable[[], Tensor]) -> None:
        """Wait for the turn of a backward pass through the model."""

    def finish(self, idle: Callable[[], Tensor]) -> None:
        """No pass is to come; wait for those of others."""


class Passes(Protocol):
    """A way to compute log-probabilities."""

    hidden_states: Callable[..., Tensor]
    """`hidden_states` of the model."""
    dtype: torch.dtype
    """The passes' precision."""
    turns: Turns
    """When passes are made."""

    def run(self, samples: Sequence[Sample], temperature: float, visit: Visitor, after: Callable[[], None]) -> int:
        """Hand every sample that trains a token to ``visit`` once; return how many tokens were computed.

        Args:
            samples: With any loss mask.
            temperature: Log-probabilities are of logits / temperature.
            visit: Returns the loss to go backward through; ``None``: there is none.
            after: Called after each backward pass, to take gradients away.

        Raises:
            ConfigError: a sample cannot be laid out.
        """
        ...


class PaddedPasses:
    """The plain way, for any causal model and as the reference: batches padded on the right.

    Args:
        model: Keeps its own attention.
        tokens_at_once: Most tokens of a batch, padding included; a longer sample is a batch of its own.
    """

    def __init__(self, model: PreTrainedModel, *, tokens_at_once: int) -> None:
        check_output_layer(model)
        self.model, self.tokens_at_once = model, tokens_at_once
        self.hidden_states: Callable[..., Tensor] = partial(hidden_states, model)
        self.dtype, self.turns = model.dtype, Turns()

    def run(self, samples: Sequence[Sample], temperature: float, visit: Visitor, after: Callable[[], None]) -> int:
        """See `Passes.run`."""
        pack(samples, max_tokens=0, max_trained=0)  # the same errors
        computed = 0
        for batch in self._batches(samples):
            longest = len(samples[batch[-1]].token_ids)
            computed += longest * len(batch)
            self.turns.forward(self._idle)
            loss = visit(batch, *self._logprobs([samples[i] for i in batch], longest, temperature))
            if loss is not None:
                self.turns.backward(self._idle)
                loss.backward()  # type: ignore[no-untyped-call]
                after()
        self.turns.finish(self._idle)
        return computed

    def _idle(self) -> Tensor:
        return self.hidden_states(input_ids=torch.zeros(1, 1, dtype=torch.long, device=self.model.device))

    def _batches(self, samples: Sequence[Sample]) -> list[list[int]]:
        batches: list[list[int]] = []
        trained = [i for i, sample in enumerate(samples) if any(sample.loss_mask)]
        for i in sorted(trained, key=lambda i: (len(samples[i].token_ids), i)):
            if not batches or (len(batches[-1]) + 1) * len(samples[i].token_ids) > self.tokens_at_once:
                batches.append([])
            batches[-1].append(i)
        return batches

    def _logprobs(self, samples: Sequence[Sample], longest: int, temperature: float) -> tuple[Tensor, Tensor]:
        device = self.model.device
        padding = [longest - len(s.token_ids) for s in samples]
        ids_BT = torch.tensor([[*s.token_ids, *[0] * p] for s, p in zip(samples, padding, strict=True)], device=device)
        real_BT = torch.tensor([[1] * len(s.token_ids) + [0] * p for s, p in zip(samples, padding, strict=True)])
        trained_BT = torch.tensor([[*s.loss_mask, *[False] * p] for s, p in zip(samples, padding, strict=True)])
        trained_BT = trained_BT.to(device)
        hidden_BTd = self.hidden_states(input_ids=ids_BT, attention_mask=real_BT.to(device))
        return token_logprobs(
            self.model,
            hidden_BTd[:, :-1][trained_BT[:, 1:]],
            ids_BT[trained_BT],
            temperature,
        )


@dataclass(kw_only=True, slots=True)
class _Waiting:
    """A part that later parts attend to, or that has just been computed."""

    part: Part
    hidden_nd: Tensor
    """With the part's graph."""
    sources_nd: Tensor
    """The same without it, where the edges' gradients are added up."""
    keys: KeptKeys | None

    def backward(self) -> None:
        """Go backward through the part: from its edges, and from those that attended to it."""
        gradient = self.sources_nd.grad
        if self.hidden_nd.requires_grad:
            self.hidden_nd.backward(torch.zeros_like(self.hidden_nd) if gradient is None else gradient)  # type: ignore[no-untyped-call]


class TreePasses:
    """Every unique token once.

    Args:
        model: Its attention is switched for the length of a run.
        max_tokens: Most unique tokens of a trie.
        max_trained: Most unique edges of a trie.
        tokens_at_once: Most tokens of a part of a trie. Parts that others attend to stay in memory until those are
            done: a trajectory's trunk and one part of the rest are there at a time, whatever the whole trie's size.
        kernel: How attention is computed; ``None``: as `choose_kernel` says.

    Raises:
        ModelError: the model's passes over a trie would not equal one pass a sample.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        max_tokens: int,
        max_trained: int,
        tokens_at_once: int,
        kernel: Kernel | None = None,
    ) -> None:
        check_tree_model(model)
        check_output_layer(model)
        self.model, self.kernel = model, kernel
        self.hidden_states: Callable[..., Tensor] = partial(hidden_states, model)
        self.dtype, self.turns = model.dtype, Turns()
        self.max_tokens, self.max_trained, self.tokens_at_once = max_tokens, max_trained, tokens_at_once

    def run(self, samples: Sequence[Sample], temperature: float, visit: Visitor, after: Callable[[], None]) -> int:
        """See `Passes.run`."""
        tries = pack(samples, max_tokens=self.max_tokens, max_trained=self.max_trained)
        with tree_attention(self.model):
            for trie in tries:
                self._run(trie, temperature, visit, after)
            self.turns.finish(self._idle)
        return sum(len(trie.token_ids) for trie in tries)

    def _run(self, trie: Trie, temperature: float, visit: Visitor, after: Callable[[], None]) -> None:
        above: list[_Waiting] = []
        learning = torch.is_grad_enabled()

        def leave(next_start: int) -> None:
            """Go backward through parts that nothing to come attends to: the last one first, as they were entered."""
            while above and not (trie.ends[above[-1].part.start : above[-1].part.end] > next_start).any():
                done = above.pop()
                if learning:
                    self.turns.backward(self._idle)
                    done.backward()
                    after()

        for part in trie.parts(self.tokens_at_once):
            leave(part.start)
            context = _ranges(part, above)
            self.turns.forward(self._idle)
            waiting = self._forward(trie, part, [(kept.keys, low, high) for kept, low, high in context if kept.keys])
            if part.samples:
                rows = [kept.sources_nd[low:high] for kept, low, high in context] + [waiting.sources_nd]
                device = waiting.sources_nd.device
                logprobs_E, entropies_E = token_logprobs(
                    self.model,
                    torch.cat(rows)[torch.from_numpy(part.edge_sources).to(device)],
                    torch.from_numpy(part.edge_tokens).to(device),
                    temperature,
                )
                edges_N = torch.from_numpy(np.concatenate(part.sample_edges)).to(device)
                loss = visit(part.samples, logprobs_E[edges_N], entropies_E[edges_N])
                if loss is not None:
                    loss.backward()  # type: ignore[no-untyped-call]
            above.append(waiting)
        leave(len(trie.token_ids))

    def _forward(self, trie: Trie, part: Part, context: Sequence[tuple[KeptKeys, int, int]]) -> _Waiting:
        device, m = self.model.device, len(part.ancestors)
        ends = np.append(trie.ends[part.ancestors], trie.ends[part.start : part.end])
        depths = np.append(trie.depths[part.ancestors], trie.depths[part.start : part.end])
        layout = TreeLayout(np.minimum(ends, part.end) - part.start + m, depths, part.end - part.start, device)
        keep = KeptKeys(start=part.start) if part.kept else None
        hidden_nd = self._hidden(
            trie.token_ids[part.start : part.end], trie.depths[part.start : part.end], layout, context, keep
        )
        sources_nd = hidden_nd.detach().requires_grad_(torch.is_grad_enabled())
        return _Waiting(part=part, hidden_nd=hidden_nd, sources_nd=sources_nd, keys=keep)

    def _idle(self) -> Tensor:
        one, none = np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
        return self._hidden(none, none, TreeLayout(one, none, 1, self.model.device))

    def _hidden(
        self,
        token_ids: Ints,
        depths: Ints,
        layout: TreeLayout,
        context: Sequence[tuple[KeptKeys, int, int]] = (),
        keep: KeptKeys | None = None,
    ) -> Tensor:
        device = self.model.device
        kernel = self.kernel or choose_kernel(device, self.dtype, layout)
        return self.hidden_states(
            input_ids=torch.from_numpy(token_ids[None]).to(device),
            position_ids=torch.from_numpy(depths[None]).to(device),
            tree=TreePass(layout=layout, kernel=kernel, context=context, keep=keep),
        )[0]


def hidden_states(model: PreTrainedModel, **inputs: object) -> Tensor:
    """The last hidden states ``[B, T, d]``, after the final norm: what the output layer is given."""
    decoder = model.get_decoder()  # type: ignore[no-untyped-call]
    hidden: Tensor = decoder(use_cache=False, **inputs).last_hidden_state
    return hidden


def _ranges(part: Part, above: Sequence[_Waiting]) -> list[tuple[_Waiting, int, int]]:
    """Where the part's ancestors are: tokens from … to … of the parts above it, in the trie's order."""
    ranges = []
    for waiting in above:
        start, end = waiting.part.start, waiting.part.end
        own = part.ancestors[(part.ancestors >= start) & (part.ancestors < end)] - start
        for piece in np.split(own, np.flatnonzero(np.diff(own) != 1) + 1):
            if len(piece):
                ranges.append((waiting, int(piece[0]), int(piece[-1]) + 1))
    return ranges
