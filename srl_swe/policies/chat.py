"""Chat messages to token ids, by the model's own template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from srl_swe.errors import ModelError
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


def encode_turn(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Return the ids between an answer's end-of-turn token and the next answer: the user's turn ``text``.

    Appended to `encode_prompt`, an answer and its end-of-turn token they go on with a conversation, of which nothing is
    tokenised again.

    Raises:
        ModelError: the chat template does not end an answer by the end-of-turn token.
    """
    answer = "\N{OBJECT REPLACEMENT CHARACTER}"
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": answer}]
    whole = str(
        tokenizer.apply_chat_template(
            [*messages, {"role": "user", "content": text}], add_generation_prompt=True, tokenize=False
        )
    )
    after = whole[whole.index(answer) + len(answer) :]
    end = str(tokenizer.eos_token)
    if not after.startswith(end):
        raise ModelError(f"the chat template does not end an answer with {end!r}: a conversation cannot be continued")
    return tuple(tokenizer(after.removeprefix(end), add_special_tokens=False)["input_ids"])
