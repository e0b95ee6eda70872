"""How long prompts are in a model's own tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from srl_swe.policies.chat import encode_prompt
from srl_swe.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TokenCounter:
    """Counts by a tokenizer and its chat template.

    Raises:
        ModelError: the template cannot write a conversation with a system prompt.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        start = [{"role": "system", "content": "x"}, {"role": "user", "content": "x"}]
        pair = [{"role": "assistant", "content": "x"}, {"role": "user", "content": "x"}]
        around_start, around_both = (self.prompt(m) - len(m) * self._plain("x") for m in (start, [*start, *pair]))
        self._around = -(-(around_both - around_start) // 2)
        self.opening = max(0, around_start - 2 * self._around)
        """Tokens of every prompt that no message has."""

    def prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of a conversation up to where the assistant's turn begins, all that the template adds included."""
        return len(encode_prompt(self._tokenizer, messages))

    def message(self, text: str) -> int:
        """Tokens of one message with what the template puts around it, rounded up.

        A prompt has as many as its messages together and ``opening``, or a few less, where the template's text and the
        message's share a token.
        """
        return self._plain(text) + self._around

    def _plain(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])
