"""Token ids, masks and log-probabilities of what is trained on. Nothing that was sampled is ever tokenised again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from srl_swe.environments.actions import format_answer
from srl_swe.environments.prompts import chat, clip
from srl_swe.environments.solutions import format_solution, solution_chat, whole_solution
from srl_swe.policies.chat import encode_answer, encode_prompt, encode_turn
from srl_swe.records import Completion, Sample, Trajectory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NO_THOUGHT = "Next step."
"""What an expert that gives no thought is taken to have thought: without one its answer would be malformed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One answer of an episode."""

    context_ids: tuple[int, ...]
    """What the student saw ``[L]``."""
    completion: Completion
    """What it sampled ``[T]``."""


def answer_sample(
    prompt_ids: Sequence[int], answer_ids: Sequence[int], logprobs: Sequence[float] | None, advantage: float
) -> Sample:
    """A prompt ``[L]`` and one answer ``[T]``, which is trained on."""
    before = len(prompt_ids)
    return Sample(
        token_ids=(*prompt_ids, *answer_ids),
        loss_mask=(False,) * before + (True,) * len(answer_ids),
        old_logprobs=(0.0,) * before + tuple(logprobs or (0.0,) * len(answer_ids)),
        advantage=advantage,
    )


def episode_samples(turns: Sequence[Turn], advantage: float, response: int) -> list[Sample]:
    """The answers of an episode, trained on, in as few sequences as they make.

    An answer whose context begins with all tokens up to the answer before it is put into the same sequence; where the
    context was cut, or an answer shown in another form than it was sampled in, a new sequence begins. All of them are
    pieces of one response (see `Sample.response`).
    """
    sequences: list[_Sequence] = []
    for turn in turns:
        if not sequences or not sequences[-1].goes_on_with(turn.context_ids):
            sequences.append(_Sequence())
        sequences[-1].add(turn)
    return [sequence.sample(advantage, response) for sequence in sequences]


class _Sequence:
    """Tokens of one or more turns, one after the other."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.mask: list[bool] = []
        self.logprobs: list[float] = []

    def goes_on_with(self, context_ids: Sequence[int]) -> bool:
        return list(context_ids[: len(self.ids)]) == self.ids

    def add(self, turn: Turn) -> None:
        for ids, logprobs in (
            (turn.context_ids[len(self.ids) :], None),
            (turn.completion.token_ids, turn.completion.logprobs),
        ):
            self.ids += ids
            self.mask += [logprobs is not None] * len(ids)
            self.logprobs += logprobs or [0.0] * len(ids)

    def sample(self, advantage: float, response: int) -> Sample:
        return Sample(
            token_ids=tuple(self.ids),
            loss_mask=tuple(self.mask),
            old_logprobs=tuple(self.logprobs),
            advantage=advantage,
            response=response,
        )


def trajectory_sample(
    trajectory: Trajectory, tokenizer: PreTrainedTokenizerBase, *, observation_chars: int, max_prompt_tokens: int
) -> Sample | None:
    """A whole trajectory as one conversation, trained on at the expert's answers; ``None`` where it is too long.

    Steps that cannot run, and those that the provenance names as ``mistakes``, are in it and not trained on. A solution
    is one answer: nothing is said between its steps.
    """
    if trajectory.domain == "mathematics":
        return _solution_sample(trajectory, tokenizer, max_prompt_tokens)
    mistakes = trajectory.provenance.get("mistakes", [])
    ids = list(encode_prompt(tokenizer, chat(trajectory.problem_statement, ())))
    mask = [False] * len(ids)
    for k, step in enumerate(trajectory.steps):
        if len(ids) > max_prompt_tokens:
            return None
        said = format_answer(step.thought or NO_THOUGHT, step.action) if step.runnable else step.action
        answer = encode_answer(tokenizer, said)
        ids += answer
        mask += [step.runnable and k not in mistakes] * len(answer)
        if k + 1 < len(trajectory.steps):
            seen = encode_turn(tokenizer, clip(step.observation, observation_chars))
            ids += seen
            mask += [False] * len(seen)
    return Sample(token_ids=tuple(ids), loss_mask=tuple(mask), old_logprobs=(0.0,) * len(ids), advantage=1.0)


def _solution_sample(
    trajectory: Trajectory, tokenizer: PreTrainedTokenizerBase, max_prompt_tokens: int
) -> Sample | None:
    prompt = encode_prompt(tokenizer, solution_chat(trajectory.problem_statement, (), wanted="answer"))
    if len(prompt) > max_prompt_tokens:
        return None
    answer = format_solution(trajectory.steps[0].thought or NO_THOUGHT, whole_solution(trajectory))
    return answer_sample(prompt, encode_answer(tokenizer, answer), None, 1.0)
