"""A language model as a policy, and as the answerer of single steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from srl_swe.policies.chat import encode_prompt
from srl_swe.policies.engine import Engine
from srl_swe.records import ChatAnswer, Completion, Message, PreparedTask, Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ModelPolicy:
    """Answers every conversation with one completion of the model.

    Args:
        name: How results name it.
        engine: Generates.
        tokenizer: Its chat template makes the prompts.
        sampling: How answers are drawn.
    """

    def __init__(self, name: str, engine: Engine, tokenizer: PreTrainedTokenizerBase, sampling: Sampling) -> None:
        self._name = name
        self.engine = engine
        self.tokenizer = tokenizer
        self.sampling = sampling

    @property
    def name(self) -> str:
        """How results name it."""
        return self._name

    def act(self, conversations: Sequence[tuple[Message, ...]], tasks: Sequence[PreparedTask]) -> list[ChatAnswer]:
        """See `srl_swe.policies.protocol.Policy.act`; the tasks are not looked at."""
        del tasks
        prompts = self._encode(conversations)
        drawn = self.engine.generate(prompts, 1, self.sampling)
        return [_answer(prompt, completions[0]) for prompt, completions in zip(prompts, drawn, strict=True)]

    def answer(self, conversations: Sequence[tuple[Message, ...]], n: int) -> list[list[str]]:
        """Return ``n`` answer texts for each conversation."""
        drawn = self.engine.generate(self._encode(conversations), n, self.sampling)
        return [[completion.text for completion in completions] for completions in drawn]

    def _encode(self, conversations: Sequence[tuple[Message, ...]]) -> list[tuple[int, ...]]:
        return [encode_prompt(self.tokenizer, messages) for messages in conversations]


def _answer(prompt: Sequence[int], completion: Completion) -> ChatAnswer:
    return ChatAnswer(
        text=completion.text,
        finish_reason="stop" if completion.finished else "length",
        prompt_tokens=len(prompt),
        completion_tokens=len(completion.token_ids),
        logprob=math.fsum(completion.logprobs),
    )
