"""A student's episodes, token by token: what each answer was sampled from, and what was sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from srl_swe.environments.episodes import Episode
from srl_swe.policies.chat import encode_prompt, encode_turn
from srl_swe.policies.engine import Engine
from srl_swe.records import Completion, Ending, Rollout, Sampling, Score
from srl_swe.training.config import TrainConfig
from srl_swe.training.groups import draw_seed
from srl_swe.training.samples import Turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(kw_only=True)
class _Spoken:
    """What is known of one episode."""

    episode: Episode
    turns: list[Turn] = field(default_factory=list)


class EpisodeSampler:
    """Answers live episodes with an engine, and keeps the tokens.

    Args:
        engine: Generates.
        tokenizer: Its chat template makes the contexts.
        config: The run's.
        update: Number of the update that the episodes are for; the draws depend on it.
    """

    def __init__(self, engine: Engine, tokenizer: PreTrainedTokenizerBase, config: TrainConfig, update: int) -> None:
        self.engine, self.tokenizer, self.config, self.update = engine, tokenizer, config, update
        self._calls = 0
        self._spoken: dict[int, _Spoken] = {}

    def answer(self, episodes: Sequence[Episode]) -> list[str | None]:
        """See `srl_swe.environments.episode_waves.Answer`: one whose context is too long is cut off."""
        contexts: dict[tuple[int, ...], list[int]] = {}
        answers: list[str | None] = [None] * len(episodes)
        for place, episode in enumerate(episodes):
            context = self._context(episode)
            if len(context) > self.config.max_prompt_tokens:
                episode.cut_off(Ending.CONTEXT_LIMIT)
            else:
                contexts.setdefault(context, []).append(place)
        for context, place, completion in self._generate(contexts):
            self._of(episodes[place]).turns.append(Turn(context_ids=context, completion=completion))
            answers[place] = completion.text
        return answers

    def take(self, episode: Episode) -> list[Turn]:
        """The turns of an episode that has ended; they are then forgotten."""
        spoken = self._spoken.pop(id(episode), None)
        return spoken.turns if spoken is not None else []

    def rollouts(self, episode: Episode, turns: Sequence[Turn], score: Score) -> list[Rollout]:
        """A rollout for each turn of an ended episode, all with its score."""
        assert episode.ending is not None
        first = int(episode.options.get("step", 0))
        return [
            Rollout(
                instance_id=f"{episode.prepared.task.task_id}#{first + k}",
                group=episode.group,
                prompt_ids=turn.context_ids,
                completion=turn.completion,
                weight_version=self.engine.weight_version,
                score=score,
                ending=episode.ending,
            )
            for k, turn in enumerate(turns)
        ]

    def _generate(self, contexts: dict[tuple[int, ...], list[int]]) -> list[tuple[tuple[int, ...], int, Completion]]:
        """One completion for each place; equal contexts, as at the start of a group, are one prompt."""
        made = []
        for n in sorted({len(places) for places in contexts.values()}):
            chosen = [context for context, places in contexts.items() if len(places) == n]
            sampling = Sampling(
                max_new_tokens=self.config.max_new_tokens,
                temperature=self.config.temperature,
                seed=draw_seed(self.config.seed, self.update, self._calls),
            )
            self._calls += 1
            for context, completions in zip(chosen, self.engine.generate(chosen, n, sampling), strict=True):
                made += [(context, place, c) for place, c in zip(contexts[context], completions, strict=True)]
        return made

    def _context(self, episode: Episode) -> tuple[int, ...]:
        turns = self._of(episode).turns
        if not turns or not self.config.keep_answers:
            return encode_prompt(self.tokenizer, episode.conversation)
        last = turns[-1]
        # What was said goes on as the tokens it was; a turn that its limit ended gets the end that it lacks.
        end = () if last.completion.finished else (int(self.tokenizer.eos_token_id),)
        seen = encode_turn(self.tokenizer, episode.conversation[-1]["content"])
        return (*last.context_ids, *last.completion.token_ids, *end, *seen)

    def _of(self, episode: Episode) -> _Spoken:
        # By identity, with the episode held: another try of it is another object, and begins anew.
        return self._spoken.setdefault(id(episode), _Spoken(episode=episode))
