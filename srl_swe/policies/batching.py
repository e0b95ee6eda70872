"""Continuous batching: many episodes ask, each in its own thread, and one thread answers whoever is waiting.

No episode waits for a slower one: while a container opens, a command runs or a patch is graded, the others are
answered. A batch is put off for a moment only, where more questions are about to come.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from srl_swe.errors import ContextLengthError, EngineUnavailableError, InfrastructureError
from srl_swe.policies.protocol import Policy
from srl_swe.records import ChatAnswer, Message, PreparedTask

_LONGEST_WAIT_S = 1.0
_WAIT_SHARE = 0.1
"""How long a batch is put off at most, as a share of the time that the last one took."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    policy: Policy
    conversation: tuple[Message, ...]
    prepared: PreparedTask
    answer: Future[ChatAnswer] = field(default_factory=Future)


class AnswerBatcher:
    """Between episodes, which `ask`, and one thread, which calls `serve` over and over."""

    def __init__(self) -> None:
        """With nobody waiting."""
        self._changed = threading.Condition()
        self._questions: list[_Question] = []
        self._woken = False
        self._closed = False
        self._wait_s = _LONGEST_WAIT_S

    def ask(self, policy: Policy, conversation: tuple[Message, ...], prepared: PreparedTask) -> ChatAnswer:
        """Wait for an answer. Called from an episode's thread.

        Raises:
            InfrastructureError: there was none.
            concurrent.futures.CancelledError: the batcher was closed.
        """
        question = _Question(policy=policy, conversation=conversation, prepared=prepared)
        with self._changed:
            if self._closed:
                question.answer.cancel()
            else:
                self._questions.append(question)
            self._changed.notify_all()
        return question.answer.result()

    def wake(self) -> None:
        """Make `serve` return: something else has happened that its caller waits for."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def serve(self, live: int) -> None:
        """Wait until somebody asks, and answer all who do; or until `wake` was called.

        Args:
            live: How many episodes there are, so that nobody is waited for who will not come.

        Raises:
            EngineUnavailableError: nobody can be answered at all; those who asked get it too.
            Exception: a mistake in the program.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._woken or self._questions)
            if self._woken:
                self._woken = False
                return
            self._changed.wait_for(lambda: self._woken or len(self._questions) >= live, timeout=self._wait_s)
            asked, self._questions = self._questions, []
        started = time.monotonic()
        by_policy: dict[int, list[_Question]] = defaultdict(list)
        for question in asked:
            by_policy[id(question.policy)].append(question)
        try:
            for questions in by_policy.values():
                _answer(questions)
        finally:
            for question in asked:  # whoever was not answered, because of a mistake or an interruption
                question.answer.cancel()
        self._wait_s = min(_LONGEST_WAIT_S, _WAIT_SHARE * (time.monotonic() - started))

    def close(self) -> None:
        """Let everybody go who asks, now and later."""
        with self._changed:
            self._closed = True
            for question in self._questions:
                question.answer.cancel()
            self._questions = []


def _answer(questions: Sequence[_Question]) -> None:
    policy = questions[0].policy
    try:
        answers = policy.act([q.conversation for q in questions], [q.prepared for q in questions])
    except ContextLengthError as error:
        if len(questions) == 1:
            questions[0].answer.set_exception(error)
        else:  # of one of them
            for question in questions:
                _answer([question])
    except BaseException as error:
        for question in questions:
            question.answer.set_exception(error)
        if not isinstance(error, InfrastructureError) or isinstance(error, EngineUnavailableError):
            raise
    else:
        for question, answer in zip(questions, answers, strict=True):
            question.answer.set_result(answer)
