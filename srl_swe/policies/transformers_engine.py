"""The embedded engine: transformers with continuous batching, and each prompt computed once for all its completions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from srl_swe.errors import ConfigError, ContextLengthError, InfrastructureError
from srl_swe.policies.decoding_cache import DecodingCache, PromptBlock
from srl_swe.policies.draws import SeedStream, uniforms
from srl_swe.policies.models import LoadedModel
from srl_swe.policies.shared_prompt import use_shared_prompt
from srl_swe.records import Completion, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_WORTH_SHARING = 16
"""Tokens that two prompts must begin with in common for the second to take them over from the first."""


@dataclass(kw_only=True, slots=True)
class EngineCounts:
    """What an engine has done since it was made."""

    prompts: int = 0
    """Prompts answered."""
    prompt_tokens: int = 0
    """Their tokens."""
    prompt_tokens_computed: int = 0
    """Those that went through the model: each prompt's once, less what it took over from another prompt."""
    sampled_tokens: int = 0
    """Tokens of completions."""
    passes: int = 0
    """Passes that brought one token to each sequence."""


class TransformersEngine:
    """An `Engine` on the learner's own model object, so that new weights need no copy.

    Sequences that end leave the batch, and waiting ones enter, so that it stays full. Prompts that begin alike, such as
    the steps of one trajectory, share the computation of what they have in common while they are in the batch together.

    Args:
        loaded: The model; it is switched to shared-prompt attention.
        max_sequences: Most sequences decoded at once.
        cache_gb: Most memory (10^9 bytes) for keys and values. A single sequence that needs more is decoded alone.
        seed: Start of the engine's own stream of seeds, used where `Sampling.seed` is ``None``.

    Raises:
        ConfigError: a limit is below what one sequence needs.
        ModelError: the model's attention cannot share a prompt.
    """

    def __init__(self, loaded: LoadedModel, *, max_sequences: int = 128, cache_gb: float = 4.0, seed: int = 0) -> None:
        if max_sequences < 1 or cache_gb <= 0:
            raise ConfigError(f"max_sequences {max_sequences}, cache_gb {cache_gb}: must be at least 1, and above 0")
        self.model: PreTrainedModel = loaded.model
        self.tokenizer: PreTrainedTokenizerBase = loaded.tokenizer
        self.end_ids = frozenset(loaded.end_ids)
        self.max_sequences = max_sequences
        self.counts = EngineCounts()
        self._seeds = SeedStream(seed)
        self._version = 0
        self._closed = False
        use_shared_prompt(self.model)
        self._cache_tokens = int(cache_gb * 1e9 / _bytes_per_token(self.model))

    @property
    def weight_version(self) -> int:
        """Version of the weights in use."""
        return self._version

    @property
    def context_length(self) -> int:
        """See `Engine.context_length`."""
        return int(self.model.config.max_position_embeddings)

    def load(self, weights: Iterable[tuple[str, torch.Tensor]] | None, version: int) -> None:
        """The weights are the learner's own: of them, nothing is read."""
        self._require_open()
        del weights
        self._version = version

    def close(self) -> None:
        """Refuse further calls. The model is the learner's and stays."""
        self._closed = True

    @torch.no_grad()
    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`."""
        self._require_open()
        groups = [
            _Group(prompt=tuple(prompt), limit=limit, seed=seed, n=n)
            for prompt, limit, seed in zip(
                prompts,
                new_token_limits(prompts, sampling.max_new_tokens, self.context_length),
                self._seeds.prompt_seeds(prompts, sampling),
                strict=True,
            )
        ]
        if not groups:
            return []
        _Batch(self, groups, sampling).run()
        self.counts.prompts += len(prompts)
        self.counts.prompt_tokens += sum(map(len, prompts))
        made = [[self._completion(sequence) for sequence in group.sequences] for group in groups]
        self.counts.sampled_tokens += sum(len(c.token_ids) for group in made for c in group)
        return made

    def _completion(self, sequence: _Sequence) -> Completion:
        text = self.tokenizer.decode(sequence.tokens, skip_special_tokens=True)
        return Completion(
            token_ids=tuple(sequence.tokens),
            logprobs=tuple(sequence.logprobs),
            text=str(text),
            finished=sequence.tokens[-1] in self.end_ids,
        )

    def _require_open(self) -> None:
        if self._closed:
            raise InfrastructureError("the engine is closed")


def new_token_limits(prompts: Sequence[Sequence[int]], max_new_tokens: int, context_length: int) -> list[int]:
    """Most tokens that may follow each prompt.

    Raises:
        ContextLengthError: none may.
    """
    for i, prompt in enumerate(prompts):
        if not 0 < len(prompt) < context_length:
            raise ContextLengthError(
                f"prompt {i}: {len(prompt)} tokens; between 1 and {context_length - 1} leave room for an answer"
            )
    return [min(max_new_tokens, context_length - len(prompt)) for prompt in prompts]


@dataclass(kw_only=True, slots=True, eq=False)
class _Sequence:
    group: _Group
    draws: list[float]
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


@dataclass(kw_only=True, slots=True, eq=False)
class _Group:
    prompt: tuple[int, ...]
    limit: int
    seed: int
    n: int
    block: PromptBlock | None = None
    first_logits: torch.Tensor | None = None
    """Logits ``[V]`` of every sequence's first token."""
    sequences: list[_Sequence] = field(default_factory=list)
    """Those begun."""


class _Batch:
    """One call's sequences: those being decoded, and those that wait."""

    def __init__(self, engine: TransformersEngine, groups: list[_Group], sampling: Sampling) -> None:
        self.engine, self.model, self.temperature = engine, engine.model, sampling.temperature
        # Neighbours in this order begin alike.
        self.waiting = deque(sorted(groups, key=lambda group: group.prompt))
        self.longest = max(group.limit for group in groups)
        slots = min(engine.max_sequences, sum(group.n for group in groups))
        self.cache = DecodingCache(max(1, min(slots, engine._cache_tokens // self.longest)), self.longest)
        self.rows: list[_Sequence] = []

    def run(self) -> None:
        """Decode until nobody waits."""
        while self.waiting or self.rows:
            while self.waiting and (entering := self._room()):
                self._enter(self.waiting[0], entering)
            if self.rows:
                self._step()

    def _room(self) -> int:
        """How many sequences of the first waiting group may enter now."""
        group = self.waiting[0]
        slots = min(self.cache.slots - len(self.rows), group.n - len(group.sequences))
        active = {sequence.group.block for sequence in self.rows} | {group.block}
        used = sum(len(block.tokens) for block in active if block) + len(self.rows) * self.longest
        free = self.engine._cache_tokens - used - (0 if group.block else len(group.prompt))
        return min(slots, max(free // self.longest, 0 if self.rows else 1))

    def _enter(self, group: _Group, count: int) -> None:
        """Begin some sequences of a group: draw their first tokens."""
        if group.block is None:
            self._prefill(group)
        assert group.block is not None and group.first_logits is not None
        begun = range(len(group.sequences), len(group.sequences) + count)
        entering = [_Sequence(group=group, draws=uniforms(group.seed + i, group.limit)) for i in begun]
        group.sequences += entering
        if len(group.sequences) == group.n:
            self.waiting.popleft()
        ended = self._draw(group.first_logits.expand(count, -1), entering)
        for sequence, over in zip(entering, ended, strict=True):
            if not over:
                self.cache.add(group.block)
                self.rows.append(sequence)
        if len(group.sequences) == group.n:
            group.first_logits = None

    def _prefill(self, group: _Group) -> None:
        """Compute a prompt, but for what a prompt in the batch begins with too."""
        group.block = PromptBlock(group.prompt)
        shared, length = None, _WORTH_SHARING - 1
        for block in {sequence.group.block for sequence in self.rows}:
            assert block is not None
            common = min(_common_prefix(block.tokens, group.prompt), len(group.prompt) - 1)
            if common > length:
                shared, length = block, common
        start = length if shared else 0
        self.cache.fill(group.block, (shared, length) if shared else None)
        group.first_logits = self._forward([group.prompt[start:]], [list(range(start, len(group.prompt)))])[0]
        self.cache.fill_done()
        self.engine.counts.prompt_tokens_computed += len(group.prompt) - start

    def _step(self) -> None:
        """Bring one token to each sequence; those that end leave."""
        last = [(sequence.tokens[-1],) for sequence in self.rows]
        logits_BV = self._forward(last, [[position] for position in self.cache.positions()])
        self.cache.advance()
        self.engine.counts.passes += 1
        ended = self._draw(logits_BV, self.rows)
        for row in reversed([row for row, over in enumerate(ended) if over]):
            self.cache.remove(row)
            self.rows[row] = self.rows[-1]
            self.rows.pop()

    def _forward(self, tokens: Sequence[Sequence[int]], positions: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logits after the last token of each row ``[B, V]``."""
        device = self.model.device
        logits: torch.Tensor = self.model(
            input_ids=torch.tensor([list(row) for row in tokens], device=device),
            position_ids=torch.tensor([list(row) for row in positions], device=device),
            use_cache=False,
            logits_to_keep=1,
            shared_prompt=self.cache,
        ).logits[:, -1]
        return logits

    def _draw(self, logits_BV: torch.Tensor, sequences: Sequence[_Sequence]) -> list[bool]:
        """Append one token to each sequence; return which of them have ended."""
        drawn = [sequence.draws[len(sequence.tokens)] for sequence in sequences]
        ids_B, logprobs_B = draw(logits_BV, self.temperature, drawn)
        for sequence, token, logprob in zip(sequences, ids_B.tolist(), logprobs_B.tolist(), strict=True):
            sequence.tokens.append(token)
            sequence.logprobs.append(logprob)
        return [s.tokens[-1] in self.engine.end_ids or len(s.tokens) == s.group.limit for s in sequences]


def draw(logits_BV: torch.Tensor, temperature: float, uniforms_B: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one token a row; return ids ``[B]`` and their log-probabilities ``[B]`` under what was drawn from."""
    logprobs_BV = torch.log_softmax(logits_BV.float() / (temperature or 1.0), dim=-1)
    if temperature == 0:
        ids_B = logprobs_BV.argmax(dim=-1)
    else:
        # Inverse of the cumulative distribution: one random number a row, where torch.multinomial draws one a token.
        cumulative_BV = logprobs_BV.double().exp().cumsum(dim=-1)
        drawn_B1 = torch.tensor(uniforms_B, dtype=torch.float64, device=logits_BV.device)[:, None]
        ids_B = torch.searchsorted(cumulative_BV, drawn_B1 * cumulative_BV[:, -1:], right=True)[:, 0]
        ids_B = ids_B.clamp(max=logprobs_BV.shape[1] - 1)
    return ids_B, logprobs_BV.gather(1, ids_B[:, None])[:, 0]


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def _bytes_per_token(model: PreTrainedModel) -> int:
    """Bytes of keys and values of one token in all layers."""
    config = model.config
    kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * kv_heads * width * model.dtype.itemsize)
