"""Low-rank adapters (arXiv 2106.09685) by peft, put into a model that otherwise stays the object it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srl_swe.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_ADAPTER = "default"
_CONFIG = "srl_swe_lora"


def add_lora(model: PreTrainedModel, *, rank: int, alpha: float | None = None) -> None:
    """Put an adapter beside every linear layer but the output layer, and freeze all else.

    At first it changes nothing: its second factor is zero. Dropout is 0, since tree packing needs equal passes.

    Args:
        model: changed in place.
        rank: of the adapters.
        alpha: outputs are scaled by ``alpha / rank``; ``None``: twice the rank.

    Raises:
        ConfigError: ``rank`` is below 1, or the model has an adapter.
        MissingDependencyError: peft is not installed.
    """
    if rank < 1:
        raise ConfigError(f"lora_rank: must be at least 1, not {rank}")
    if has_lora(model):
        raise ConfigError("the model has an adapter already")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingDependencyError("lora_rank needs peft; run: pip install 'srl-swe[lora]'") from error
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,  # type: ignore[arg-type]  # it only divides by the rank
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
        base_model_name_or_path=model.config.name_or_path or None,
    )
    inject_adapter_in_model(config, model, adapter_name=_ADAPTER)
    setattr(model, _CONFIG, config)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)


def has_lora(model: PreTrainedModel) -> bool:
    """Whether `add_lora` was here."""
    return hasattr(model, _CONFIG)


@contextmanager
def lora_off(model: PreTrainedModel) -> Iterator[None]:
    """The model as it was before `add_lora`, for the block's length."""
    layers = [module for _, module in _layers(model)]
    for layer in layers:
        layer.enable_adapters(enabled=False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(enabled=True)


def plain_weights(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """All weights under the names that they have without adapters, each adapter merged into its layer's weight.

    One merged tensor exists at a time. A weight that two layers share comes twice, under both names.
    """
    layers = dict(_layers(model))
    for name, tensor in model.state_dict().items():
        if ".lora_" in name:
            continue
        owner, _, leaf = name.rpartition(".base_layer.")
        if not owner:
            yield name, tensor
        elif leaf == "weight":
            delta = layers[owner].get_delta_weight(_ADAPTER)
            # Rounded once, as the layer itself adds the two products in its own precision.
            yield f"{owner}.{leaf}", (tensor.float() + delta.float()).to(tensor.dtype).detach()
        else:
            yield f"{owner}.{leaf}", tensor


def save_adapter(model: PreTrainedModel, folder: Path) -> None:
    """Write the adapter alone, as peft and vLLM load it."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = get_peft_model_state_dict(model, adapter_name=_ADAPTER)
    prefix = "base_model.model."  # as of a `PeftModel`, whose folders have these names
    save_file({prefix + name: t.contiguous() for name, t in state.items()}, folder / "adapter_model.safetensors")
    config = getattr(model, _CONFIG)
    config.inference_mode = True
    config.save_pretrained(folder)


def _layers(model: PreTrainedModel) -> Iterator[tuple[str, Any]]:
    if not has_lora(model):
        return
    from peft.tuners.lora import LoraLayer

    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module
