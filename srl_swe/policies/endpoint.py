"""A chat model behind a server that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, or a provider.

What goes wrong on the way is never taken for an answer of the model: it is retried, and raised at the end.
"""

from __future__ import annotations

import math
import os
import re
import threading
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from srl_swe.errors import ConfigError, ContextLengthError, EndpointError
from srl_swe.policies.pace import Pace
from srl_swe.records import ChatAnswer, Message

_REFUSED = {401: "the key is missing or wrong", 403: "the key may not do this", 404: "there is no such model or path"}
_WORTH_RETRYING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_TOO_MANY = 429
_TOO_LONG = re.compile(r"context.{0,20}(?:length|window|size)|prompt is too long|too many tokens", re.IGNORECASE)
_LONGEST_WAIT_S = 60.0
_POLL_S = 0.1


class ChatEndpoint:
    """A client of ``<base URL>/chat/completions``. May be used by several threads at once.

    Args:
        base_url: Such as ``http://localhost:8000/v1``.
        model: The model's name, as the server knows it.
        api_key_env: Environment variable that holds the key; where it is not set, none is sent.
        max_tokens: Most tokens of an answer.
        timeout_s: Seconds one request may take.
        retries: Further tries after a connection that fails, a status 429 or 5xx, or an answer that is none.
        backoff_s: Seconds before the first retry; doubled each time, unless the server says how long to wait.
        requests_per_minute: Most requests a minute; where the server refuses for a rate, all threads wait besides.
        logprobs: Whether the log-probabilities of the answers' tokens are asked for.

    Raises:
        ConfigError: an argument is wrong.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        max_tokens: int = 2048,
        timeout_s: float = 300.0,
        retries: int = 5,
        backoff_s: float = 1.0,
        requests_per_minute: float | None = None,
        logprobs: bool = False,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"endpoint: expected a URL such as http://localhost:8000/v1, not {base_url!r}")
        if parts.username or parts.password:
            raise ConfigError("endpoint: a URL must not hold a password; put the key into an environment variable")
        for name, value, least in (("max_tokens", max_tokens, 1), ("retries", retries, 0)):
            if value < least:
                raise ConfigError(f"{name}: must be at least {least}, not {value}")
        if timeout_s <= 0 or backoff_s < 0:
            raise ConfigError("timeout_s must be above 0, and backoff_s at least 0")
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        self._model = model
        self._key = os.environ.get(api_key_env, "").strip()
        self._max_tokens, self._timeout_s = max_tokens, timeout_s
        self._retries, self._backoff_s = retries, backoff_s
        self._pace, self._logprobs = Pace(requests_per_minute), logprobs
        self._closed = threading.Event()

    @property
    def model(self) -> str:
        """The model's name."""
        return self._model

    @property
    def host(self) -> str:
        """The server's host and port, without path and key."""
        return self._host

    def answer(self, messages: Sequence[Message], *, temperature: float) -> ChatAnswer:
        """Ask for one answer.

        Raises:
            ConfigError: the server refuses the key or the model.
            ContextLengthError: the conversation is too long for the model.
            EndpointError: it did not answer, or not as it should, however often it was asked; or `close` was called.
        """
        body = {
            "model": self._model,
            "messages": list(messages),
            "temperature": temperature,
            "max_tokens": self._max_tokens,
        } | ({"logprobs": True} if self._logprobs else {})
        for attempt in range(self._retries + 1):
            if not self._pace.wait(self._closed):
                break
            try:
                return self._ask(body)
            except _TransientError as error:
                if attempt == self._retries:
                    raise EndpointError(f"{self._host}: {error} (asked {attempt + 1} times)") from error
                wait = self._backoff_s * 2**attempt if error.retry_after_s is None else error.retry_after_s
                wait = min(wait, _LONGEST_WAIT_S)
                if error.for_everybody:
                    self._pace.hold(wait)
                elif self._closed.wait(wait):
                    break
        raise EndpointError(f"{self._host}: closed")

    def close(self) -> None:
        """End the requests under way: their callers get an `EndpointError` at once, and so does whoever asks later."""
        self._closed.set()

    def _ask(self, body: dict[str, Any]) -> ChatAnswer:
        """One request, in a thread of its own: a blocking read could not be interrupted."""
        outcome: list[requests.Response | Exception] = []

        def post() -> None:
            headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            try:
                outcome.append(requests.post(self._url, json=body, headers=headers, timeout=self._timeout_s))
            except (requests.RequestException, ValueError, OSError) as error:
                outcome.append(error)

        asking = threading.Thread(target=post, name="endpoint", daemon=True)
        asking.start()
        while asking.is_alive():
            if self._closed.is_set():
                raise EndpointError(f"{self._host}: closed")
            asking.join(_POLL_S)
        if not outcome:
            raise _TransientError("the request ended without an answer")
        response = outcome[0]
        if isinstance(response, Exception):
            raise _TransientError(f"cannot be reached: {type(response).__name__}") from response
        return self._read(response)

    def _read(self, response: requests.Response) -> ChatAnswer:
        status = response.status_code
        if status != 200:
            said = f"status {status}: {self._without_key(response.text)[:300].strip() or response.reason}"
            if status in _WORTH_RETRYING or status >= 500:
                wait = _retry_after(response.headers.get("Retry-After"))
                raise _TransientError(said, retry_after_s=wait, for_everybody=status == _TOO_MANY)
            if status in _REFUSED:
                raise ConfigError(f"{self._host}: {_REFUSED[status]}: {said}")
            if _TOO_LONG.search(response.text):
                raise ContextLengthError(f"{self._host}: {said}")
            # This conversation cannot be answered, others may.
            raise EndpointError(f"{self._host}: {said}")
        try:
            record = response.json()
            choice = record["choices"][0]
            message, usage = choice["message"], record.get("usage") or {}
            text = _with_thought(message)
            counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
            logprob = _logprob(choice)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise _TransientError(f"not a chat completion: {response.text[:200]!r}") from error
        prompt, completion = (count if isinstance(count, int) else None for count in counts)
        return ChatAnswer(
            text=text,
            finish_reason=str(choice.get("finish_reason") or ""),
            prompt_tokens=prompt,
            completion_tokens=completion,
            logprob=logprob,
        )

    def _without_key(self, text: str) -> str:
        """Some servers repeat the key that they refuse."""
        return text.replace(self._key, "<key>") if self._key else text


class _TransientError(Exception):
    """What may be better the next time."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, for_everybody: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.for_everybody = for_everybody


def _with_thought(message: dict[str, Any]) -> str:
    """The text with the thought in it.

    Servers with a reasoning parser keep the thought apart; templates that open it in the prompt leave only its end.
    """
    content = message.get("content") or ""
    if not isinstance(content, str):
        raise TypeError("content is not a text")
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    if isinstance(reasoning, str) and reasoning.strip() and "</think>" not in content:
        thought = reasoning.replace("</think>", "").replace("<think>", "").strip()
        return f"<think>\n{thought}\n</think>\n{content.lstrip()}"
    if "</think>" in content and "<think>" not in content:
        return f"<think>\n{content.lstrip()}"
    return content


def _logprob(choice: dict[str, Any]) -> float | None:
    """The sum over the answer's tokens; ``None`` where the server gives none."""
    tokens = (choice.get("logprobs") or {}).get("content")
    return math.fsum(float(token["logprob"]) for token in tokens) if tokens else None


def _retry_after(header: str | None) -> float | None:
    """Seconds to wait, from a number or a date."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
