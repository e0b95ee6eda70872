"""Samples that share a prompt, packed into one row so that the prompt is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from srl_swe.errors import ConfigError
from srl_swe.records import Sample


@dataclass(frozen=True, kw_only=True, slots=True)
class PackedRow:
    """One prompt and the completions of some samples."""

    prompt_ids: tuple[int, ...]
    """The shared prompt ``[L]``: everything before the first trained token."""
    completions: tuple[tuple[int, ...], ...]
    """Token ids of each completion; its sample says which of them are trained."""
    indices: tuple[int, ...]
    """Which sample each completion belongs to."""

    @property
    def tokens(self) -> int:
        """Tokens in the row."""
        return len(self.prompt_ids) + sum(map(len, self.completions))


def pack(samples: Sequence[Sample], *, max_tokens: int) -> list[PackedRow]:
    """Pack samples by equal prompts, in order of first appearance, into rows of at most ``max_tokens``.

    A completion that does not fit begins a new row with the prompt again; one that is too long by itself has a row of
    its own, so that nothing is left out.

    Raises:
        ConfigError: a sample trains no token, or its first one.
    """
    by_prompt: dict[tuple[int, ...], list[int]] = {}
    for index, sample in enumerate(samples):
        by_prompt.setdefault(sample.token_ids[: _prompt_length(sample)], []).append(index)
    rows = []
    for prompt, indices in by_prompt.items():
        part: list[int] = []
        size = len(prompt)
        for index in indices:
            length = len(samples[index].token_ids) - len(prompt)
            if part and size + length > max_tokens:
                rows.append(_row(prompt, part, samples))
                part, size = [], len(prompt)
            part.append(index)
            size += length
        rows.append(_row(prompt, part, samples))
    return rows


def _row(prompt: tuple[int, ...], indices: list[int], samples: Sequence[Sample]) -> PackedRow:
    completions = tuple(samples[i].token_ids[len(prompt) :] for i in indices)
    return PackedRow(prompt_ids=prompt, completions=completions, indices=tuple(indices))


def _prompt_length(sample: Sample) -> int:
    length = next((t for t, trained in enumerate(sample.loss_mask) if trained), 0)
    if length == 0:
        raise ConfigError("expected samples of the form prompt, then completion, with some of the completion trained")
    return length
