"""The client of chat completions, against a real server on this machine."""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest
from chat_servers import Reply, chat_server, completion
from vllm_servers import vllm_server

from srl_swe.environments.actions import parse_action
from srl_swe.errors import ConfigError, ContextLengthError, EndpointError, InfrastructureError
from srl_swe.policies.endpoint import ChatEndpoint
from srl_swe.policies.endpoint_policy import EndpointPolicy
from srl_swe.policies.pace import Pace
from srl_swe.policies.protocol import RemotePolicy

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
ANSWER = "<think>\nwhy\n</think>\n```bash\nls\n```"


def client(url: str, **options) -> ChatEndpoint:
    return ChatEndpoint(url, "teacher", **{"backoff_s": 0.01, "retries": 2, "timeout_s": 20, **options})


def test_a_request_and_its_answer(monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "s3cret-key")
    with chat_server(lambda _, __: completion(ANSWER)) as server:
        endpoint = client(server.url + "/", api_key_env="TEACHER_KEY", max_tokens=77)
        answer = endpoint.answer(MESSAGES, temperature=0.3)
    assert (answer.text, answer.finish_reason) == (ANSWER, "stop")
    assert (answer.prompt_tokens, answer.completion_tokens) == (100, 10)
    assert server.requests == [{"model": "teacher", "messages": MESSAGES, "temperature": 0.3, "max_tokens": 77}]
    assert server.headers[0]["Authorization"] == "Bearer s3cret-key"
    assert endpoint.model == "teacher"
    assert endpoint.host == server.url.removeprefix("http://").removesuffix("/v1")


def test_without_a_key_none_is_sent(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with chat_server(lambda _, __: completion(ANSWER, usage=False)) as server:
        answer = client(server.url).answer(MESSAGES, temperature=0)
    assert "Authorization" not in server.headers[0]
    assert (answer.prompt_tokens, answer.completion_tokens) == (None, None)


@pytest.mark.parametrize(
    "reply",
    [
        completion("\n```bash\nls\n```", reasoning_content="why"),
        completion("```bash\nls\n```", reasoning="why"),
        completion("why\n</think>\n```bash\nls\n```"),
        completion(ANSWER, reasoning_content="all the same"),
    ],
    ids=["vllm", "newer", "opened in the prompt", "both"],
)
def test_a_thought_that_is_kept_apart_is_put_back(reply):
    with chat_server(lambda _, __: reply) as server:
        thought, action = parse_action(client(server.url).answer(MESSAGES, temperature=0).text)
    assert (thought, action.command) == ("why", "ls")


@pytest.mark.parametrize(
    "failure",
    [
        (429, {}, b"slow down"),
        (429, {"Retry-After": "0"}, b"slow down"),
        (503, {"Retry-After": formatdate(time.time() - 60, usegmt=True)}, b""),
        (503, {"Retry-After": "soon"}, b""),
        (500, {}, b"oops"),
        (0, {}, b""),
        (200, {}, b"<html>"),
        (200, {}, b'{"choices": []}'),
        (200, {}, b'{"error": "overloaded"}'),
        (200, {}, json.dumps({"choices": [{"message": {"content": ["parts"]}}]}).encode()),
    ],
    ids=["429", "after", "date", "no date", "500", "hung up", "html", "no choice", "error", "parts"],
)
def test_what_may_pass_is_retried_and_raised_in_the_end(failure: Reply):
    with chat_server(lambda _, number: failure if number < 2 else completion(ANSWER)) as server:
        assert client(server.url).answer(MESSAGES, temperature=0).text == ANSWER
        assert len(server.requests) == 3
    with chat_server(lambda _, __: failure) as server:
        with pytest.raises(EndpointError, match="asked 3 times") as caught:
            client(server.url).answer(MESSAGES, temperature=0)
        assert len(server.requests) == 3
    assert isinstance(caught.value, InfrastructureError)


def test_a_server_that_is_not_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(EndpointError, match="cannot be reached: ConnectionError"):
            client(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", retries=1).answer(MESSAGES, temperature=0)


def test_a_slow_server_is_a_failure_of_the_world():
    release = threading.Event()

    def respond(_, __):
        release.wait(20)
        return completion(ANSWER)

    with chat_server(respond) as server:
        with pytest.raises(EndpointError, match="ReadTimeout"):
            client(server.url, timeout_s=0.2, retries=1).answer(MESSAGES, temperature=0)
        release.set()
    assert len(server.requests) == 2


@pytest.mark.parametrize(("status", "said"), [(401, "key is missing"), (403, "may not"), (404, "no such model")])
def test_what_the_user_must_mend_is_not_retried(monkeypatch, status, said):
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret-key")
    with chat_server(lambda _, __: (status, {}, b"refused: s3cret-key")) as server:
        with pytest.raises(ConfigError, match=said) as caught:
            client(server.url).answer(MESSAGES, temperature=0)
        assert len(server.requests) == 1
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [
        (400, b"This model's maximum context length is 4096 tokens.", ContextLengthError),
        (400, b'{"error": {"code": "context_length_exceeded"}}', ContextLengthError),
        (400, b"prompt is too long: 210000 tokens", ContextLengthError),
        (400, b"temperature must be at most 2", EndpointError),
        (422, b"no", EndpointError),
    ],
)
def test_a_request_that_cannot_be_answered_is_not_retried(status, said, error):
    with chat_server(lambda _, __: (status, {}, said)) as server:
        with pytest.raises(EndpointError, match=f"status {status}") as caught:
            client(server.url).answer(MESSAGES, temperature=0)
        assert len(server.requests) == 1
    assert type(caught.value) is error


def test_closing_ends_a_request_that_waits():
    release, asked = threading.Event(), threading.Event()

    def respond(_, __):
        asked.set()
        release.wait(60)
        return completion(ANSWER)

    with chat_server(respond) as server:
        endpoint = client(server.url, timeout_s=60)
        failures: list[Exception] = []

        def ask() -> None:
            try:
                endpoint.answer(MESSAGES, temperature=0)
            except EndpointError as error:
                failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        assert asked.wait(30)
        endpoint.close()
        asking.join(30)
        assert not asking.is_alive()
        assert not release.is_set()
        release.set()
    assert [str(failure) for failure in failures] == [f"{endpoint.host}: closed"]


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("localhost:8000", {}),
        ("ftp://host/v1", {}),
        ("http://user:word@host/v1", {}),
        ("http://host/v1", {"max_tokens": 0}),
        ("http://host/v1", {"retries": -1}),
        ("http://host/v1", {"timeout_s": 0}),
    ],
)
def test_wrong_arguments(url, options):
    with pytest.raises(ConfigError):
        client(url, **options)


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.model
def test_a_vllm_server(tmp_path, request):
    pytest.importorskip("vllm")
    folder = request.getfixturevalue("tiny_model_folder")
    options = ("--served-model-name", "small", "--max-model-len", "512")
    with vllm_server(folder, tmp_path / "log", *options) as (url, _):
        endpoint = ChatEndpoint(f"{url}/v1", "small", max_tokens=8)
        answer = endpoint.answer(MESSAGES, temperature=0.0)
        assert answer.text
        assert 1 <= (answer.completion_tokens or 0) <= 8
        assert (answer.prompt_tokens or 0) > 5
        with pytest.raises(ConfigError, match="no such model"):
            ChatEndpoint(f"{url}/v1", "other").answer(MESSAGES, temperature=0.0)


def test_log_probabilities_are_asked_for_and_added_up():
    def respond(body, _):
        status, headers, data = completion(ANSWER)
        record = json.loads(data)
        if body.get("logprobs"):
            record["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.5}, {"logprob": -1.25}]}
        return status, headers, json.dumps(record).encode()

    with chat_server(respond) as server:
        assert client(server.url, logprobs=True).answer(MESSAGES, temperature=1).logprob == -1.75
        assert client(server.url).answer(MESSAGES, temperature=1).logprob is None
    assert [body.get("logprobs") for body in server.requests] == [True, None]


def test_requests_keep_their_distance():
    pace, closed = Pace(600), threading.Event()
    started = time.monotonic()
    with ThreadPoolExecutor(5) as pool:
        assert all(pool.map(lambda _: pace.wait(closed), range(5)))
    assert time.monotonic() - started >= 0.4  # four distances; it can take longer, never less
    closed.set()
    assert not pace.wait(closed)


def test_a_refusal_for_the_rate_holds_all_threads():
    arrivals: list[float] = []

    def respond(_, number):
        arrivals.append(time.monotonic())
        if number == 0:
            return 429, {"Retry-After": "1"}, b"slow down"
        return completion(ANSWER)

    with chat_server(respond) as server:
        endpoint = client(server.url)
        first = threading.Thread(target=endpoint.answer, args=(MESSAGES,), kwargs={"temperature": 0})
        first.start()
        while endpoint._pace._held_until == 0:  # until the answer has arrived
            time.sleep(0.01)
        endpoint.answer(MESSAGES, temperature=0)  # another thread's
        first.join()
    assert len(arrivals) == 3
    assert arrivals[1] - arrivals[0] >= 1


def test_a_wrong_pace():
    with pytest.raises(ConfigError, match="requests_per_minute"):
        client("http://localhost/v1", requests_per_minute=0)


def test_as_a_policy_it_counts_what_it_costs():
    with chat_server(lambda _, __: completion(ANSWER)) as server:
        policy = EndpointPolicy(client(server.url), temperature=0.5, price=lambda read, written: read + 2.0 * written)
        assert isinstance(policy, RemotePolicy)
        assert (policy.name, policy.answer_one(MESSAGES).cost) == ("teacher", 120.0)
        assert EndpointPolicy(client(server.url), temperature=0.5, name="x").answer_one(MESSAGES).cost is None
        policy.close()
        with pytest.raises(EndpointError, match="closed"):
            policy.answer_one(MESSAGES)
    assert server.requests[0]["temperature"] == 0.5
