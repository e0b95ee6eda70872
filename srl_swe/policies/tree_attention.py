"""Attention in a trie: every token attends to its ancestors and to itself, and to nothing else.

Tokens of a trie are laid in depth-first order, so that the descendants of a token are those right after it, up to its
*end*: token q attends to token k if and only if ``k <= q < end[k]``. A trie may be computed in parts, one range of that
order after the other: a part's queries also meet the keys of its ancestors in earlier parts, and the gradients of those
keys are added up until the earlier part goes backward itself (`KeptKeys`).

Models reach this through transformers' `AttentionInterface`, under the name `ATTENTION`, and only within
`tree_attention`; a pass says what it is by the keyword ``tree`` (`TreePass`).

Shapes: H query heads, K key-value heads, D head width, n tokens of a part, m their ancestors in earlier parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from transformers import AttentionInterface

from srl_swe.errors import ModelError
from srl_swe.policies.tree_kernels import TreeLayout, flex, tiles, varlen

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ATTENTION = "srl_swe_tree"

Kernel = Literal["tiles", "flex", "varlen"]
"""``tiles``: plain products over blocks of queries, on any device; for CUDA ``flex``: FlexAttention, and ``varlen``:
FlashAttention over segments with their ancestors gathered."""

_KERNELS = {"tiles": tiles, "flex": flex, "varlen": varlen}

_MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")
"""What `tests/training/test_tree_gradients.py` shows to be equal to one pass a sample."""

_LEAKS = {
    "linear_attention": "linear attention carries a state from each token to the next one in the row",
    "mamba": "a state-space layer carries a state from each token to the next one in the row",
    "recurrent": "a recurrent layer carries a state from each token to the next one in the row",
    "conv": "a convolution mixes each token with those before it in the row",
    "chunked_attention": "chunked attention cuts by place in the row, not by depth",
}


@dataclass(kw_only=True, slots=True)
class KeptKeys:
    """Keys and values of a part, for later parts to attend to."""

    start: int
    """Place of the part's first token in the trie."""
    keys: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Layer to keys and values ``[1, K, n, D]``, without graph."""
    grads: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Layer to what later parts' backward passes have added up, in float32 or better: a bfloat16 sum would drift."""

    def add_grads(self, layer: int, low: int, high: int, grads: tuple[Tensor, Tensor]) -> None:
        """Add to tokens ``low`` to ``high`` of the part."""
        if layer not in self.grads:
            k, v = (torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32)) for x in self.keys[layer])
            self.grads[layer] = (k, v)
        for total, grad in zip(self.grads[layer], grads, strict=True):
            total[:, :, low:high] += grad


@dataclass(kw_only=True, slots=True)
class TreePass:
    """One pass of a model over a part of a trie."""

    layout: TreeLayout
    """Who attends to whom."""
    kernel: Kernel
    """How it is computed."""
    context: Sequence[tuple[KeptKeys, int, int]] = ()
    """Where the m ancestors are: tokens from … to … of earlier parts, in the trie's order."""
    keep: KeptKeys | None = None
    """Where the part's own keys go; ``None``: no later part needs them."""


class _Extend(torch.autograd.Function):
    """A part's keys and values ``[1, K, n, D]`` with its ancestors' before them: ``[1, K, m + n, D]``."""

    @staticmethod
    def forward(ctx: Any, k: Tensor, v: Tensor, tree: TreePass, layer: int) -> tuple[Tensor, Tensor]:
        ctx.tree, ctx.layer, ctx.dtype = tree, layer, k.dtype
        if tree.keep is not None:  # once more under gradient checkpointing, with the same values
            tree.keep.keys[layer] = (k.detach(), v.detach())
        pieces = [[kept.keys[layer][i][:, :, low:high] for kept, low, high in tree.context] for i in (0, 1)]
        return torch.cat([*pieces[0], k], dim=2), torch.cat([*pieces[1], v], dim=2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        tree, layer, at = ctx.tree, ctx.layer, 0
        for kept, low, high in tree.context:
            kept.add_grads(
                layer, low, high, (grads[0][:, :, at : at + high - low], grads[1][:, :, at : at + high - low])
            )
            at += high - low
        own = [grad[:, :, at:] for grad in grads]
        if tree.keep is not None and layer in tree.keep.grads:
            own = [(a + b).to(ctx.dtype) for a, b in zip(own, tree.keep.grads.pop(layer), strict=True)]
        return own[0], own[1], None, None


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    tree: TreePass | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """``query [1, H, n, D]``, ``key``, ``value`` ``[1, K, n, D]`` to ``[1, n, H, D]``."""
    if tree is None or attention_mask is not None:
        raise ModelError("tree attention was called without a trie, or with a mask of another kind")
    if options.get("softcap") is not None or options.get("s_aux") is not None:
        raise ModelError(f"{type(module).__name__}: soft-capped scores and sinks are not computed in a trie")
    if tree.context or tree.keep is not None:
        key, value = _Extend.apply(key, value, tree, int(module.layer_idx))  # type: ignore[no-untyped-call,arg-type]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out = _KERNELS[tree.kernel](query[0], key[0], value[0], tree.layout, scale, sliding_window)
    return out.transpose(0, 1).unsqueeze(0), None


AttentionInterface.register(ATTENTION, _attention)


@contextmanager
def tree_attention(model: PreTrainedModel) -> Iterator[None]:
    """Switch ``model`` to this module's attention for the length of the block, backward passes included.

    No mask function is registered for it: transformers makes no mask then, and does not take positions that start
    again for a packed batch either, which would cut each branch off from its ancestors.
    """
    configs = {id(c): c for c in (getattr(m, "config", None) for m in model.modules()) if c is not None}
    before = [(c, c._attn_implementation) for c in configs.values() if hasattr(c, "_attn_implementation")]
    try:
        for config, _ in before:
            config._attn_implementation = ATTENTION
        yield
    finally:
        for config, name in before:
            config._attn_implementation = name


def choose_kernel(device: torch.device, dtype: torch.dtype, layout: TreeLayout) -> Kernel:
    """The kernel for a part: on CUDA FlexAttention, which loses to FlashAttention below about 1,000 tokens."""
    if device.type != "cuda":
        return "tiles"
    return "varlen" if dtype != torch.float32 and layout.queries < 1024 else "flex"


def check_tree_model(model: PreTrainedModel) -> None:
    """Refuse a model whose passes over a trie would not equal one pass a sample.

    Raises:
        ModelError: the reason.
    """
    config = model.config
    name = type(model).__name__
    advice = "; train it with packing='padded'"
    kinds = set(getattr(config, "layer_types", None) or ()) | {str(getattr(config, "model_type", ""))}
    for kind in sorted(kinds):
        for leak, reason in _LEAKS.items():
            if leak in kind:
                raise ModelError(f"{name} has layers of kind {kind!r}: {reason}{advice}")
    if config.model_type not in _MODEL_TYPES:
        raise ModelError(
            f"{name} (model type {config.model_type!r}): tree packing is shown to be exact for "
            f"{', '.join(_MODEL_TYPES)}, and for no other{advice}"
        )
    rope = getattr(config, "rope_parameters", None) or {}
    scalings = [rope.get("rope_type"), *(r.get("rope_type") for r in rope.values() if isinstance(r, dict))]
    for scaling in scalings:
        if scaling in ("dynamic", "longrope"):
            raise ModelError(f"{name}: {scaling!r} positions depend on the longest sequence of the pass{advice}")


def check_no_dropout(model: PreTrainedModel) -> None:
    """Refuse dropout, LoRA's too: the learner's probabilities must be those of the model that sampled.

    Raises:
        ModelError: a dropout is not 0.
    """
    found = [
        f"{path} (p = {module.p})"
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Dropout) and module.p > 0
    ]
    found += [
        f"config.{key} = {value}"
        for key, value in model.config.to_dict().items()
        if key.endswith(("dropout", "pdrop")) and isinstance(value, float) and value > 0
    ]
    if found:
        raise ModelError(
            f"{type(model).__name__}: dropout must be 0 where ratios of probabilities are trained on, and where "
            f"samples share what they have in common; set it to 0: {', '.join(found[:3])}"
        )
