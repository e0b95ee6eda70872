"""Lets a language model improve the prose of a drafted statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from srl_swe.records import Message
from srl_swe.tasks.mining.secrets import Secrets

_LONGEST = 20_000
_PROMPT = (
    "You rewrite bug reports for a software project. Rewrite the report below as a user of the library would write "
    "it: a title line that begins with '# ', then what is wrong, in plain sentences. Keep every code example and "
    "every value exactly as it is. Do not say how to fix it, do not guess at causes, add no facts. Answer "
    "with the report alone."
)


Ask = Callable[[Sequence[Message]], str]
"""Gives a chat model's answer to a conversation; an `InfrastructureError` where there is none."""


def rewrite(draft: str, secrets: Secrets, ask: Ask) -> tuple[str, str]:
    """Return a better statement, or the draft with the reason why the model's was not taken.

    Raises:
        InfrastructureError: the model cannot be asked.
    """
    answer = ask([{"role": "system", "content": _PROMPT}, {"role": "user", "content": draft}])
    text = answer.rpartition("</think>")[2].strip() + "\n"
    problem = secrets.leak(text) or _lost(draft, text)
    return (draft, problem) if problem else (text, "")


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
