"""A vLLM server on this machine: token ids in and out, weights handed over through a folder in memory.

It is started by its owner, with the model that the learner starts from::

    VLLM_SERVER_DEV_MODE=1 python -m vllm.entrypoints.openai.api_server --model MODEL --logprobs-mode processed_logprobs

vLLM's own weight-transfer backends (NCCL, CUDA IPC and others, as of 0.32) need GPUs. This engine writes the weights to
a folder of safetensors (in ``/dev/shm``, where there is one) and has the server read it (``reload_weights``); so it
needs a server on the same machine, of the same user. Developer mode brings that call: such a server must not be open to
others.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from srl_swe.errors import ConfigError, ContextLengthError, EndpointError, InfrastructureError
from srl_swe.policies.draws import SeedStream
from srl_swe.policies.models import LoadedModel, save_weights
from srl_swe.policies.transformers_engine import new_token_limits
from srl_swe.records import Completion, Sampling

if TYPE_CHECKING:
    from torch import Tensor

_START = (
    "VLLM_SERVER_DEV_MODE=1 python -m vllm.entrypoints.openai.api_server --model MODEL "
    "--logprobs-mode processed_logprobs"
)


class VllmServerEngine:
    """An `Engine` on a vLLM server, which this engine alone uses.

    Args:
        loaded: The learner's model, of which the server serves some version.
        url: Such as ``http://localhost:8000``.
        seed: Start of the engine's own stream of seeds, used where `Sampling.seed` is ``None``.
        sleep: Have the server give its GPU's memory back between calls; it needs ``--enable-sleep-mode``.
        timeout_s: Seconds that one request may take.
        parallel: Most requests at once; a request is one prompt.

    Raises:
        ConfigError: the URL is none, or the server was started without what is needed.
        EndpointError: the server does not answer.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        url: str,
        *,
        seed: int = 0,
        sleep: bool = False,
        timeout_s: float = 1800.0,
        parallel: int = 64,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"engine_url: expected a URL such as http://localhost:8000, not {url!r}")
        self._url = url.rstrip("/").removesuffix("/v1")
        self.tokenizer = loaded.tokenizer
        self.end_ids = frozenset(loaded.end_ids)
        self._timeout_s, self._parallel, self._sleep = timeout_s, parallel, sleep
        self._seeds = SeedStream(seed)
        self._version = 0
        self._run = uuid.uuid4().hex
        self._closed = self._asleep = False
        self._session = requests.Session()
        self._session.mount("http", requests.adapters.HTTPAdapter(pool_maxsize=parallel))
        (served, *_) = self._get("/v1/models")["data"]
        self._model, self._context_length = str(served["id"]), int(served["max_model_len"])
        mode = self._get("/server_info?config_format=json")["vllm_config"]["model_config"]["logprobs_mode"]
        if mode != "processed_logprobs":
            raise ConfigError(
                f"{self._url}: its log-probabilities are {mode}, not the sampler's own; start it by: {_START}"
            )
        self.load(loaded.weights(), 0)

    @property
    def weight_version(self) -> int:
        """Version of the weights in use."""
        return self._version

    @property
    def context_length(self) -> int:
        """See `Engine.context_length`."""
        return self._context_length

    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`.

        Raises:
            ContextLengthError: a prompt leaves no room for a token.
            EndpointError: the server does not answer, or has not the weights that it was given last.
        """
        self._wake()
        limits = new_token_limits(prompts, sampling.max_new_tokens, self._context_length)
        seeds = self._seeds.prompt_seeds(prompts, sampling)
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="vllm-server") as pool:
            asked = [
                pool.submit(self._answer, prompt, n, sampling, limit, seed)
                for prompt, limit, seed in zip(prompts, limits, seeds, strict=True)
            ]
            try:
                groups = [future.result() for future in asked]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        weights = self._get("/weight_info")["weight_version"]
        if weights != self._label(self._version):
            raise EndpointError(f"{self._url}: has weights {weights!r}: it was started anew, or somebody else uses it")
        if self._sleep:
            self._post("/sleep?level=1")
            self._asleep = True
        return groups

    def load(self, weights: Iterable[tuple[str, Tensor]] | None, version: int) -> None:
        """See `Engine.load`."""
        if weights is None:
            raise ConfigError("a vLLM server has its own weights: it needs the learner's to load")
        self._wake()
        memory = Path("/dev/shm")
        folder = Path(tempfile.mkdtemp(prefix="srl-swe-weights-", dir=memory if memory.is_dir() else None))
        try:
            save_weights(weights, folder)
            self._post("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}})
            emptied = self._post("/reset_prefix_cache")  # older servers say nothing
            if emptied is not None and not emptied.get("success", True):
                raise InfrastructureError(f"{self._url} kept its prefix cache, which old weights computed")
            self._post("/update_weight_version", {"new_version": self._label(version)})
        except OSError as error:
            raise InfrastructureError(f"{folder}: the weights cannot be written: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._version = version

    def close(self) -> None:
        """Close the connections; the server is its owner's, and goes on."""
        self._closed = True
        self._session.close()

    def _label(self, version: int) -> str:
        return f"{self._run}-{version}"

    def _wake(self) -> None:
        if self._asleep:
            self._post("/wake_up")
            self._asleep = False

    def _answer(self, prompt: Sequence[int], n: int, sampling: Sampling, limit: int, seed: int) -> list[Completion]:
        asked = 1 if sampling.temperature == 0 else n  # vLLM refuses to answer greedily more than once
        body = {
            "model": self._model,
            "prompt": list(prompt),
            "n": asked,
            "max_tokens": limit,
            "temperature": sampling.temperature,
            "seed": seed,
            # Where these are left out, the server takes them from the model's own generation settings.
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "logprobs": 0,
            "return_token_ids": True,
            "ignore_eos": True,
            "stop_token_ids": sorted(self.end_ids),
        }
        made = self._post("/v1/completions", body)
        try:
            choices = sorted(made["choices"], key=lambda choice: int(choice["index"]))
            completions = [self._completion(choice["token_ids"], choice["logprobs"]) for choice in choices]
        except (KeyError, TypeError, ValueError) as error:
            raise EndpointError(f"{self._url}: not a completion with token ids: {str(made)[:200]}") from error
        return [completion for completion in completions for _ in range(n // asked)]

    def _completion(self, tokens: list[int], logprobs: dict[str, list[float]]) -> Completion:
        values = logprobs["token_logprobs"]
        if not tokens or len(values) != len(tokens):
            raise ValueError(f"{len(values)} log-probabilities of {len(tokens)} tokens")
        return Completion(
            token_ids=tuple(tokens),
            logprobs=tuple(map(float, values)),
            text=str(self.tokenizer.decode(tokens, skip_special_tokens=True)),
            finished=tokens[-1] in self.end_ids,
        )

    def _get(self, path: str) -> Any:
        return self._ask("GET", path, None)

    def _post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        if self._closed:
            raise InfrastructureError("the engine is closed")
        try:
            answer = self._session.request(method, self._url + path, json=body, timeout=self._timeout_s)
        except requests.RequestException as error:
            raise EndpointError(f"{self._url}: does not answer: {type(error).__name__}") from error
        where = f"{self._url}{path.partition('?')[0]}"
        if answer.status_code == 404:
            raise ConfigError(f"{where}: not there; start the server by: {_START}")
        if answer.status_code == 400 and "context length" in answer.text:
            raise ContextLengthError(f"{where}: {answer.text[:300]}")
        if not answer.ok:
            raise EndpointError(f"{where}: status {answer.status_code}: {answer.text[:300].strip() or answer.reason}")
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise EndpointError(f"{where}: not JSON: {answer.text[:200]!r}") from error
