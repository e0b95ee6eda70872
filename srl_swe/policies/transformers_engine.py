"""The embedded engine: transformers, with each prompt computed once for all its completions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch

from srl_swe.policies.models import LoadedModel
from srl_swe.policies.shared_prompt import DecodingCache, use_shared_prompt
from srl_swe.records import Completion, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class TransformersEngine:
    """An `Engine` on the learner's own model object, so that new weights need no copy.

    Args:
        loaded: the model; it is switched to shared-prompt attention.
        max_sequences: most sequences decoded at once; more are done in turns.
        seed: start of the engine's own random stream, used where `Sampling.seed` is ``None``.
    """

    def __init__(self, loaded: LoadedModel, *, max_sequences: int = 128, seed: int = 0) -> None:
        self.model: PreTrainedModel = loaded.model
        self.tokenizer: PreTrainedTokenizerBase = loaded.tokenizer
        self.end_ids = loaded.end_ids
        self.max_sequences = max_sequences
        self._version = 0
        self._generator = torch.Generator(device=self.model.device).manual_seed(seed)
        use_shared_prompt(self.model)

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
        del weights
        self._version = version

    def close(self) -> None:
        """Nothing is held between calls."""

    @torch.no_grad()
    def generate(self, prompts: Sequence[Sequence[int]], n: int, sampling: Sampling) -> list[list[Completion]]:
        """See `Engine.generate`. Prompts of like length are decoded together, so that little is padded."""
        generator = self._generator
        if sampling.seed is not None:
            generator = torch.Generator(device=self.model.device).manual_seed(sampling.seed)
        was_training = self.model.training
        self.model.train(False)
        order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
        at_once = max(1, self.max_sequences // n)
        results: dict[int, list[Completion]] = {}
        for start in range(0, len(order), at_once):
            chunk = order[start : start + at_once]
            for i, completions in zip(
                chunk, self._decode([prompts[i] for i in chunk], n, sampling, generator), strict=True
            ):
                results[i] = completions
        self.model.train(was_training)
        return [results[i] for i in range(len(prompts))]

    def _decode(
        self, prompts: list[Sequence[int]], n: int, sampling: Sampling, generator: torch.Generator
    ) -> list[list[Completion]]:
        device = self.model.device
        cache = DecodingCache(sampling.max_new_tokens)
        logits = torch.stack([self._prefill(p, cache) for p in prompts]).repeat_interleave(n, dim=0)
        cache.begin(n)
        tokens: list[list[int]] = [[] for _ in range(len(prompts) * n)]
        logprobs: list[list[float]] = [[] for _ in tokens]
        done = [False] * len(tokens)
        # rows_MN[m][j]: which sequence stands in that row; repeated ones are fillers whose output is not read.
        rows_MN = torch.arange(len(tokens), device=device).view(len(prompts), n)
        positions_M = torch.tensor([len(p) for p in prompts], device=device)
        for step in range(sampling.max_new_tokens):
            ids_B, logprobs_B = _draw(logits, sampling.temperature, generator)
            self._record(rows_MN, ids_B, logprobs_B, tokens, logprobs, done, step)
            if all(done) or step + 1 == sampling.max_new_tokens:
                break
            rows_MN, positions_M, ids_B = _compact(cache, rows_MN, positions_M, ids_B, done)
            cache.step = step
            width = rows_MN.shape[1]
            logits = self.model(
                input_ids=ids_B[:, None],
                position_ids=(positions_M + step).repeat_interleave(width)[:, None],
                use_cache=False,
                shared_prompt=cache,
            ).logits[:, -1]
        made = [self._completion(t, p, d) for t, p, d in zip(tokens, logprobs, done, strict=True)]
        return [made[m * n : (m + 1) * n] for m in range(len(prompts))]

    def _prefill(self, prompt: Sequence[int], cache: DecodingCache) -> torch.Tensor:
        """Run one prompt into the cache; return the logits of the next token ``[V]``."""
        ids = torch.tensor([list(prompt)], device=self.model.device)
        positions = torch.arange(ids.shape[1], device=ids.device)[None]
        out = self.model(input_ids=ids, position_ids=positions, use_cache=False, logits_to_keep=1, shared_prompt=cache)
        logits: torch.Tensor = out.logits[0, -1]
        return logits

    def _record(
        self,
        rows_MN: torch.Tensor,
        ids_B: torch.Tensor,
        logprobs_B: torch.Tensor,
        tokens: list[list[int]],
        logprobs: list[list[float]],
        done: list[bool],
        step: int,
    ) -> None:
        for row, token, logprob in zip(rows_MN.flatten().tolist(), ids_B.tolist(), logprobs_B.tolist(), strict=True):
            if done[row] or len(tokens[row]) > step:  # ended, or a filler of a row already recorded
                continue
            tokens[row].append(token)
            logprobs[row].append(logprob)
            done[row] = token in self.end_ids

    def _completion(self, tokens: list[int], logprobs: list[float], finished: bool) -> Completion:
        text = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return Completion(token_ids=tuple(tokens), logprobs=tuple(logprobs), text=str(text), finished=finished)


def _draw(logits_BV: torch.Tensor, temperature: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one token a row; return ids ``[B]`` and their log-probabilities ``[B]`` under what was drawn from."""
    logprobs_BV = torch.log_softmax(logits_BV.float() / (temperature or 1.0), dim=-1)
    if temperature == 0:
        ids_B = logprobs_BV.argmax(dim=-1)
    else:
        # Inverse of the cumulative distribution: one random number a row, where torch.multinomial draws one a token.
        cumulative_BV = logprobs_BV.double().exp().cumsum(dim=-1)
        drawn_B = torch.rand(len(cumulative_BV), 1, generator=generator, device=generator.device, dtype=torch.float64)
        ids_B = torch.searchsorted(cumulative_BV, drawn_B * cumulative_BV[:, -1:], right=True)[:, 0]
        ids_B = ids_B.clamp(max=logprobs_BV.shape[1] - 1)
    return ids_B, logprobs_BV.gather(1, ids_B[:, None])[:, 0]


def _compact(
    cache: DecodingCache, rows_MN: torch.Tensor, positions_M: torch.Tensor, ids_B: torch.Tensor, done: list[bool]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Drop ended sequences once that makes the batch a quarter smaller."""
    alive = [[j for j, row in enumerate(rows) if not done[row] and row not in rows[:j]] for rows in rows_MN.tolist()]
    kept = [m for m, js in enumerate(alive) if js]
    width = max(len(js) for js in alive)
    if len(kept) * width > 0.75 * rows_MN.numel():
        return rows_MN, positions_M, ids_B
    # A prompt with fewer live sequences than the widest repeats its last one; `_record` reads only one of them.
    chosen = torch.tensor([(alive[m] + [alive[m][-1]] * width)[:width] for m in kept], device=rows_MN.device)
    prompts = torch.tensor(kept, device=rows_MN.device)
    cache.keep(prompts, chosen)
    ids_B = ids_B.view(rows_MN.shape)[prompts[:, None], chosen].flatten()
    return rows_MN[prompts[:, None], chosen], positions_M[prompts], ids_B
