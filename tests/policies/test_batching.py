"""Continuous batching between episodes' threads and a policy."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from srl_swe.errors import ContextLengthError, EndpointError, EngineUnavailableError
from srl_swe.policies.batching import AnswerBatcher
from srl_swe.records import ChatAnswer


def says(text):
    return ({"role": "user", "content": text},)


class Echo:
    name = "echo"

    def __init__(self, error=None):
        self.batches = []
        self.error = error

    def act(self, conversations, tasks):
        texts = [c[0]["content"] for c in conversations]
        assert len(tasks) == len(texts)
        self.batches.append(sorted(texts))
        if self.error is not None and "bad" in texts:
            raise self.error
        return [ChatAnswer(text=f"to {text}") for text in texts]


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def ask(pool, batcher, policy, *texts):
    futures = [pool.submit(batcher.ask, policy, says(text), None) for text in texts]
    while len(batcher._questions) < len(texts):
        pass
    return futures


def test_whoever_waits_is_answered_in_one_batch(pool):
    batcher, policy = AnswerBatcher(), Echo()
    futures = ask(pool, batcher, policy, "a", "b", "c")
    batcher.serve(3)
    assert policy.batches == [["a", "b", "c"]]
    assert [f.result().text for f in futures] == ["to a", "to b", "to c"]


def test_it_waits_for_those_who_are_about_to_ask_but_not_for_others(pool):
    batcher, policy = AnswerBatcher(), Echo()
    (first,) = ask(pool, batcher, policy, "a")
    serving = pool.submit(batcher.serve, 2)
    second = pool.submit(batcher.ask, policy, says("b"), None)
    serving.result()
    assert [f.result().text for f in (first, second)] == ["to a", "to b"]
    assert policy.batches == [["a", "b"]]
    (third,) = ask(pool, batcher, policy, "c")
    batcher.serve(2)  # nobody else comes
    assert third.result().text == "to c"


def test_two_policies_are_asked_apart(pool):
    batcher, one, other = AnswerBatcher(), Echo(), Echo()
    ask(pool, batcher, one, "a", "b")
    pool.submit(batcher.ask, other, says("c"), None)
    while len(batcher._questions) < 3:
        pass
    batcher.serve(3)
    assert (one.batches, other.batches) == ([["a", "b"]], [["c"]])


def test_wake_ends_the_waiting():
    batcher = AnswerBatcher()
    batcher.wake()
    batcher.serve(1)
    waiting = threading.Thread(target=batcher.serve, args=(1,))
    waiting.start()
    batcher.wake()
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_conversation_that_is_too_long_spoils_no_other(pool):
    batcher, policy = AnswerBatcher(), Echo(ContextLengthError("too long"))
    good, bad = ask(pool, batcher, policy, "good", "bad")
    batcher.serve(2)
    assert good.result().text == "to good"
    assert isinstance(bad.exception(), ContextLengthError)


def test_a_failure_is_everybodys_and_goes_on(pool):
    batcher, policy = AnswerBatcher(), Echo(EndpointError("down"))
    futures = ask(pool, batcher, policy, "a", "bad")
    batcher.serve(2)
    assert all(isinstance(f.exception(), EndpointError) for f in futures)
    (later,) = ask(pool, batcher, policy, "c")
    batcher.serve(1)
    assert later.result().text == "to c"


@pytest.mark.parametrize("error", [EngineUnavailableError("none"), ZeroDivisionError(), KeyboardInterrupt()])
def test_what_ends_the_run_is_raised_and_nobody_hangs(pool, error):
    batcher, policy, other = AnswerBatcher(), Echo(error), Echo()
    futures = ask(pool, batcher, policy, "a", "bad")
    futures.append(pool.submit(batcher.ask, other, says("c"), None))
    while len(batcher._questions) < 3:
        pass
    with pytest.raises(type(error)):
        batcher.serve(3)
    for future in futures:
        with pytest.raises((type(error), CancelledError)):
            future.result(30)


def test_closed_it_lets_everybody_go(pool):
    batcher, policy = AnswerBatcher(), Echo()
    futures = ask(pool, batcher, policy, "a", "b")
    batcher.close()
    futures.append(pool.submit(batcher.ask, policy, says("c"), None))
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(30)
    assert policy.batches == []
