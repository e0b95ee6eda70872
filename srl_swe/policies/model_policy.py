"""A language model as a policy, and as the answerer of single steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from srl_swe.policies.chat import encode_prompt
from srl_swe.policies.engine import Engine
from srl_swe.records import Message, PreparedTask, Sampling

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

    def act(self, conversations: Sequence[tuple[Message, ...]], tasks: Sequence[PreparedTask]) -> list[str]:
        """See `srl_swe.policies.protocol.Policy.act`; the tasks are not looked at."""
        del tasks
        return [texts[0] for texts in self.answer(conversations, 1)]

    def answer(self, conversations: Sequence[tuple[Message, ...]], n: int) -> list[list[str]]:
        """Return ``n`` answer texts for each conversation."""
        prompts = [encode_prompt(self.tokenizer, messages) for messages in conversations]
        return [[c.text for c in completions] for completions in self.engine.generate(prompts, n, self.sampling)]
