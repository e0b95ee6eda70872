"""Who acts in an evaluation: what the command line says of it, and what is made of that."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from srl_swe.commands.output import console
from srl_swe.environments.episodes import repo_environment
from srl_swe.errors import ConfigError
from srl_swe.evaluation.runner import evaluate
from srl_swe.policies.engines import EngineName
from srl_swe.policies.model_policy import ModelPolicy
from srl_swe.policies.protocol import Policy, RemotePolicy
from srl_swe.policies.scripted import DoNothingPolicy, ExpertPolicy, GoldPolicy
from srl_swe.records import EpisodeResult, PreparedTask, Sampling, Split, Task, Trajectory

PolicyName = Literal["gold", "expert", "nothing", "model", "openai", "command"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeOptions:
    """How episodes are run."""

    k: int = 0
    """Episodes a task with answers drawn at --temperature, for avg@k, pass@k, majority@k and the best of k. More may be
    asked for later, in the same folder."""
    greedy: bool = True
    """Of a model: one episode a task with its most likely answers besides."""
    temperature: float = 1.0
    """Of drawn answers."""
    max_steps: int = 30
    """Most actions an episode."""
    concurrency: int = 4
    """Most episodes at a time."""
    history: int | None = None
    """Action-observation pairs that a model sees; by default 2 for --policy model, as in training; for others all."""
    observation_chars: int | None = None
    """Longest observation that a model sees; by default 300 for --policy model, and 6000 for others."""
    max_new_tokens: int | None = None
    """Most tokens of a model's answer; by default 192 for --policy model, and 2048 for others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """What generates, for --policy model."""

    engine: EngineName = "transformers"
    """transformers, embedded; vllm, in this process; vllm-server, which somebody has started on this machine, and which
    is given the model's weights."""
    engine_url: str | None = None
    """Where that server is, such as http://localhost:8000."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointOptions:
    """A model behind a server, for --policy openai. --model is its name there."""

    endpoint: str | None = None
    """Base URL of a server with OpenAI's chat completions, such as http://localhost:8000/v1."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the server's key."""
    timeout_s: float = 300.0
    """Seconds a request may take."""
    retries: int = 5
    """Further tries of a request that fails for no fault of the model."""
    requests_per_minute: float | None = None
    """Most requests a minute."""
    logprobs: bool = False
    """Ask for log-probabilities, by which the best of k is chosen."""
    cost_per_million_in: float | None = None
    """Price of a million tokens read."""
    cost_per_million_out: float | None = None
    """Price of a million tokens written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentOptions:
    """An external agent, for --policy command; docs/evaluation.md says what it is told."""

    agent_command: str | None = None
    """A line for bash, in which {container}, {problem_file} and the like are filled in."""
    agent_name: str = "agent"
    """How results name it."""
    agent_in: Literal["host", "sandbox"] = "host"
    """Whether the command runs on this machine or in the task's sandbox."""
    agent_timeout_s: float = 1800.0
    """Seconds an episode of it may take."""


_EMBEDDED = EngineOptions()


@dataclass(kw_only=True)
class Actor:
    """Who acts, and how."""

    policy: PolicyName
    model: str | None
    episodes: EpisodeOptions
    engine: EngineOptions
    endpoint: EndpointOptions
    agent: AgentOptions
    backend: str
    loaded: ModelPolicy | None = None
    scripted: Policy | None = None

    def load(self, seed: int) -> None:
        """Load the model, and start its engine."""
        tokens = self.episodes.max_new_tokens or 192
        self.loaded = load_policy(self.model, temperature=1.0, max_new_tokens=tokens, seed=seed, options=self.engine)

    def close(self) -> None:
        """End the model's engine."""
        if self.loaded is not None:
            self.loaded.engine.close()

    def at(self, temperature: float) -> ModelPolicy:
        """The model with answers drawn at a temperature."""
        assert self.loaded is not None
        sampling = dataclasses.replace(self.loaded.sampling, temperature=temperature)
        return ModelPolicy(self.loaded.name, self.loaded.engine, self.loaded.tokenizer, sampling)

    def run(
        self, prepared: Sequence[PreparedTask], out: Path, *, split: Split | None, seed: int
    ) -> list[EpisodeResult]:
        """Run the episodes."""
        if self.policy == "command":
            return self._run_agent(prepared, out, split=split)
        options, drawn, greedy = self.episodes, self._acting(self.episodes.temperature), None
        samples, settings, view = 1, {}, {}
        if self.policy in ("model", "openai"):
            samples, settings, view = options.k, self._settings(), self._view()
            greedy = self._acting(0.0) if options.greedy else None
        return evaluate(
            drawn,
            prepared,
            out,
            samples=samples,
            greedy=greedy,
            max_steps=options.max_steps,
            concurrency=options.concurrency,
            seed=seed,
            split=split,
            settings=settings | view,
            environments=partial(repo_environment, backend=self.backend, **view),
            console=console(stderr=True),
        )

    def _run_agent(self, prepared: Sequence[PreparedTask], out: Path, *, split: Split | None) -> list[EpisodeResult]:
        from srl_swe.evaluation.agent_commands import Agent
        from srl_swe.evaluation.agents import evaluate_agent

        agent = Agent(
            command=self.agent.agent_command or "",
            name=self.agent.agent_name,
            where=self.agent.agent_in,
            timeout_s=self.agent.agent_timeout_s,
            backend=self.backend,
        )
        return evaluate_agent(
            agent,
            prepared,
            out,
            samples=max(1, self.episodes.k),
            concurrency=self.episodes.concurrency,
            split=split,
            console=console(stderr=True),
        )

    def _acting(self, temperature: float) -> Policy | RemotePolicy:
        if self.policy == "model":
            return self.at(temperature)
        if self.policy == "openai":
            return self._remote(temperature)
        assert self.scripted is not None
        return self.scripted

    def _remote(self, temperature: float) -> RemotePolicy:
        from srl_swe.experts.generation import Budget
        from srl_swe.policies.endpoint import ChatEndpoint
        from srl_swe.policies.endpoint_policy import EndpointPolicy

        options = self.endpoint
        prices = Budget(per_million_in=options.cost_per_million_in, per_million_out=options.cost_per_million_out)
        prices.check()
        client = ChatEndpoint(
            options.endpoint or "",
            self.model or "",
            api_key_env=options.api_key_env,
            max_tokens=self.episodes.max_new_tokens or 2048,
            timeout_s=options.timeout_s,
            retries=options.retries,
            requests_per_minute=options.requests_per_minute,
            logprobs=options.logprobs,
        )
        return EndpointPolicy(client, temperature=temperature, price=prices.price)

    def _settings(self) -> dict[str, Any]:
        """What the results hang on, for ``meta.json``."""
        local = self.policy == "model"
        tokens = self.episodes.max_new_tokens or (192 if local else 2048)
        settings: dict[str, Any] = {"temperature": self.episodes.temperature, "max_new_tokens": tokens}
        if local:
            return settings | ({} if self.engine.engine == "transformers" else {"engine": self.engine.engine})
        return settings | {"endpoint": self.endpoint.endpoint}

    def _view(self) -> dict[str, Any]:
        """What of the episode a model sees, where it is not what students see in training."""
        local, options = self.policy == "model", self.episodes
        view: dict[str, Any] = {} if local else {"history": None, "observation_chars": 6000, "problem_chars": 12000}
        if options.history is not None:
            view["history"] = options.history
        if options.observation_chars is not None:
            view["observation_chars"] = options.observation_chars
        return view


def check_options(
    policy: PolicyName,
    model: str | None,
    measure: str,
    episodes: EpisodeOptions,
    engine: EngineOptions,
    endpoint: EndpointOptions,
    agent: AgentOptions,
) -> None:
    """Refuse options that contradict each other."""
    if policy != "model" and engine != EngineOptions():
        raise ConfigError(f"--engine and --engine-url go with --policy model, not with --policy {policy}")
    if (engine.engine == "vllm-server") != (engine.engine_url is not None):
        raise ConfigError("--engine-url goes with --engine vllm-server, the one that has an address")
    if policy not in ("model", "openai") and model is not None:
        raise ConfigError(f"--model goes with --policy model or openai, not with --policy {policy}")
    if policy != "model" and measure != "episodes":
        raise ConfigError(f"--measure steps goes with --policy model, not with --policy {policy}")
    if policy == "openai" and (endpoint.endpoint is None or model is None):
        raise ConfigError("--policy openai needs --endpoint URL and --model NAME")
    if policy != "openai" and endpoint != EndpointOptions():
        raise ConfigError(f"--endpoint and what belongs to it go with --policy openai, not with --policy {policy}")
    if policy == "command" and agent.agent_command is None:
        raise ConfigError('--policy command needs --agent-command "…"')
    if policy != "command" and agent != AgentOptions():
        raise ConfigError(f"--agent-command and what belongs to it go with --policy command, not with {policy}")
    if policy in ("gold", "expert", "nothing") and episodes.k:
        raise ConfigError(f"--k: --policy {policy} does the same each time")
    if policy in ("model", "openai") and not (episodes.k or episodes.greedy):
        raise ConfigError("--no-greedy needs --k: there would be no episode")
    if not episodes.temperature > 0:
        raise ConfigError(f"--temperature: expected a number above 0, not {episodes.temperature}; --greedy takes 0")


def scripted_policy(name: PolicyName, tasks: Sequence[Task], recorded: Sequence[Trajectory]) -> Policy | None:
    if name in ("openai", "command"):
        return None
    if name == "gold":
        return GoldPolicy()
    if name == "nothing":
        return DoNothingPolicy()
    expert = ExpertPolicy(recorded)
    expert.require(task.task_id for task in tasks)
    return expert


def load_policy(
    model: str | None,
    *,
    temperature: float,
    max_new_tokens: int,
    seed: int = 0,
    name: str | None = None,
    options: EngineOptions = _EMBEDDED,
) -> ModelPolicy:
    """A language model on an engine; `None` for the embedded model. Results call it ``name``.

    Raises:
        MissingDependencyError: vLLM is not installed.
        ModelError: it cannot be found or loaded, or the engine cannot run it.
        InfrastructureError: the engine did not start, or the server does not answer.
    """
    from srl_swe.policies.engines import make_engine
    from srl_swe.policies.models import DEFAULT_MODEL, load_model
    from srl_swe.training.checkpoint import model_source

    loaded = load_model(model_source(model or DEFAULT_MODEL))
    engine = make_engine(options.engine, loaded, seed=seed, url=options.engine_url)
    return ModelPolicy(
        name or loaded.name, engine, loaded.tokenizer, Sampling(max_new_tokens=max_new_tokens, temperature=temperature)
    )
