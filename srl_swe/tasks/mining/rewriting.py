"""Lets a language model improve the prose of a drafted statement, through an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
from dataclasses import dataclass

import requests

from srl_swe.errors import InfrastructureError
from srl_swe.tasks.mining.leaks import Secrets

_TIMEOUT_S = 300
_LONGEST = 20_000
_PROMPT = (
    "You rewrite bug reports for a software project. Rewrite the report below as a user of the library would write "
    "it: a title line that begins with '# ', then what is wrong, in plain sentences. Keep every code example and "
    "every value exactly as it is. Do not say how to fix it, do not guess at causes, add no facts. Answer "
    "with the report alone."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewriter:
    """A model behind an endpoint."""

    url: str
    """Up to and with ``/v1``."""
    model: str
    """As the endpoint calls it."""

    def rewrite(self, draft: str, secrets: Secrets) -> tuple[str, str]:
        """Return a better statement, or the draft with the reason why the model's was not taken.

        Raises:
            InfrastructureError: the endpoint does not answer as it should.
        """
        text = self._ask(draft).strip() + "\n"
        problem = secrets.leak(text) or _lost(draft, text)
        return (draft, problem) if problem else (text, "")

    def _ask(self, draft: str) -> str:
        address = f"{self.url.rstrip('/')}/chat/completions"
        messages = [{"role": "system", "content": _PROMPT}, {"role": "user", "content": draft}]
        key = os.environ.get("OPENAI_API_KEY", "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        body = {"model": self.model, "messages": messages, "temperature": 0}
        try:
            response = requests.post(address, json=body, headers=headers, timeout=_TIMEOUT_S)
            response.raise_for_status()
            content = response.json()["choices"][0]["message"]["content"]
            if not isinstance(content, str):
                raise TypeError(f"content is {type(content).__name__}")
        except requests.RequestException as error:
            raise InfrastructureError(f"{address}: {error}") from None
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise InfrastructureError(f"{address}: the answer is not a chat completion: {error!r}") from None
        return content


def _lost(draft: str, text: str) -> str:
    """What makes a rewritten statement worse than the draft; empty: nothing."""
    if not text.startswith("# "):
        return "it has no title"
    if len(text) > _LONGEST:
        return f"it is longer than {_LONGEST} characters"
    flat = " ".join(text.split())
    for line in draft.splitlines():
        if line.startswith("    ") and " ".join(line.split()) not in flat:
            return f"it has lost a line of an example: {line.strip()}"
    return ""
