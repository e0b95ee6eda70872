"""The chat that an agent sees, in the paper's form: problem and last action-observation pairs, without thoughts.

One function makes it for step instances, environments and policies alike, so that training and evaluation agree to the
character.
"""

from __future__ import annotations

from collections.abc import Sequence

from srl_swe.environments.actions import format_action
from srl_swe.records import Message, Step

SYSTEM_PROMPT = """\
Fix the bug in /testbed with shell commands. Think briefly, then write exactly one command:
<think>
why
</think>
```bash
command
```
Read: str_replace_editor view FILE --view_range A B
Edit: str_replace_editor str_replace FILE --old_str 'old' --new_str 'new'
When it is fixed: submit"""
"""Short on purpose: a small model on a CPU pays for every token of it at every step."""

WHOLE_PROMPT = """\
Fix the bug in /testbed with shell commands. Think briefly, then write all commands, in order, each in its own block:
<think>
why
</think>
```bash
first command
```
```bash
next command
```
Read: str_replace_editor view FILE --view_range A B
Edit: str_replace_editor str_replace FILE --old_str 'old' --new_str 'new'
The last one: submit"""
"""For a student that writes the whole sequence of actions at once, without seeing what they do."""

OBSERVATION_CHARS = 300
"""Longest observation shown by default, in characters."""
PROBLEM_CHARS = 700
"""Longest problem statement shown by default, in characters."""


def chat(
    problem: str,
    steps: Sequence[Step],
    *,
    last: int | None = 2,
    observation_chars: int = OBSERVATION_CHARS,
    problem_chars: int = PROBLEM_CHARS,
) -> tuple[Message, ...]:
    """Return the conversation up to the point where the agent acts next.

    Args:
        problem: The problem statement.
        steps: What was done so far. A step with an empty action is an answer that was malformed: its ``thought`` is the
            raw answer, shown as it was written, cut to ``observation_chars``.
        last: How many of the last action-observation pairs are shown; ``None``: all of them.
        observation_chars: Longest observation, with head and tail kept.
        problem_chars: Longest problem statement, with head and tail kept.

    Returns:
        A system message, the problem as a user message, then an assistant and a user message for each step shown.
    """
    shown = steps if last is None else steps[max(0, len(steps) - last) :]
    first = clip(problem.strip(), problem_chars)
    if left_out := len(steps) - len(shown):
        first += f"\n\n({left_out} earlier step{'s' if left_out > 1 else ''} left out)"
    messages = [{"role": "system", "content": SYSTEM_PROMPT}, {"role": "user", "content": first}]
    for step in shown:
        said = format_action(step.action) if step.action.strip() else clip(step.thought, observation_chars)
        messages.append({"role": "assistant", "content": said})
        messages.append({"role": "user", "content": clip(step.observation, observation_chars)})
    return tuple(messages)


def clip(text: str, limit: int) -> str:
    """Return ``text`` in at most ``limit`` characters; what is left out is the middle, and its size is said."""
    if len(text) <= limit:
        return text
    marker = f"\n[… {len(text)} characters, middle left out …]\n"
    room = limit - len(marker)
    if room <= 0:
        return text[: max(limit, 0)]
    tail = room // 2
    return text[: room - tail] + marker + text[len(text) - tail :]
