"""Engines by name."""

from __future__ import annotations

from typing import Literal

from srl_swe.errors import ConfigError
from srl_swe.policies.engine import Engine
from srl_swe.policies.models import LoadedModel

EngineName = Literal["transformers", "vllm", "vllm-server"]


def make_engine(
    name: EngineName, loaded: LoadedModel, *, seed: int = 0, url: str | None = None, sleep: bool = False
) -> Engine:
    """Make an engine that generates with the weights of ``loaded``.

    Args:
        name: ``transformers``: embedded, on ``loaded.model`` itself. ``vllm``: vLLM in this process. ``vllm-server``: a
            vLLM server on this machine, that somebody has started.
        loaded: The model; after an update of it, ``engine.load(loaded.weights(), version)`` brings the engine up to
            date.
        seed: Of the draws where ``Sampling.seed`` is ``None``.
        url: The server's, such as ``http://localhost:8000``.
        sleep: vLLM gives its GPU's memory back between calls.

    Raises:
        ConfigError: ``url`` is missing, or an option is not for this engine.
        MissingDependencyError: vLLM is not installed.
        ModelError: the engine cannot run this model.
        InfrastructureError: the engine did not start, or the server does not answer.
    """
    if (url is not None) != (name == "vllm-server"):
        raise ConfigError(f"engine {name!r}: " + ("needs the server's URL" if url is None else "takes no URL"))
    if name == "transformers":
        from srl_swe.policies.transformers_engine import TransformersEngine

        if sleep:
            raise ConfigError("engine 'transformers': works on the learner's weights, and cannot sleep")
        return TransformersEngine(loaded, seed=seed)
    if name == "vllm":
        from srl_swe.policies.vllm_engine import VllmEngine

        return VllmEngine(loaded, seed=seed, sleep=sleep)
    if name == "vllm-server":
        from srl_swe.policies.vllm_server import VllmServerEngine

        assert url is not None
        return VllmServerEngine(loaded, url, seed=seed, sleep=sleep)
    raise ConfigError(f"engine {name!r}: expected transformers, vllm or vllm-server")
