"""Chat messages to token ids, by the model's own template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from srl_swe.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> tuple[int, ...]:
    """Return the ids of the conversation up to the point where the assistant's turn begins."""
    text = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
    return tuple(tokenizer(str(text), add_special_tokens=False)["input_ids"])


def encode_answer(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Return the ids of an answer with its end-of-turn token, as they follow `encode_prompt`."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return (*ids, int(tokenizer.eos_token_id))
