"""The one grammar of an agent's answer: read by `parse_action`, written by `format_answer`.

An answer is a thought and then exactly one action, and every action is a shell command::

    answer    = ws , [ thought , ws ] , action , ws ;
    thought   = "<think>" , { any text without "</think>" } , "</think>" ;
    action    = fence | tag ;
    fence     = ticks , language , { blank } , newline , command , newline , ticks , { blank } ;
    tag       = "<bash>" , [ newline ] , command , [ newline ] , "</bash>" ;
    language  = "bash" | "sh" | "shell" ;
    ticks     = "`" , "`" , "`" , { "`" } ;
    command   = any text that is not blank ;
    blank     = " " | tab ;          ws = { blank | newline } ;

- The thought must be there unless ``require_thought=False``; it may be empty. A fence inside it is thought, not action.
- The closing ticks stand alone on their line and are at least as many as the opening ones, so a command which holds a
  line of three backticks is written inside four: `format_action` chooses the shortest fence that is long enough.
- Between the thought and the action, before the thought and after the action only whitespace is allowed.
- The command is kept to the character: ``parse_action(format_answer(t, c)) == (t, Action(command=c))`` for every
  command that is not blank and every stripped, non-empty thought without ``</think>``.
- The command ``submit`` ends the episode; ``str_replace_editor …`` is the edit command, a program in the container.
- A command with a NUL character or a lone surrogate is refused: no shell could be given it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from srl_swe.errors import MalformedActionError
from srl_swe.records import CommandResult

SUBMIT = "submit"
"""The command that ends the episode."""
EDITOR = "str_replace_editor"
"""The edit program's name in the container."""
NO_THOUGHT = "<think></think>"
"""An empty thought: before an action from `format_action` it makes an answer that is well-formed everywhere."""

_THINK, _UNTHINK, _TAG, _UNTAG = "<think>", "</think>", "<bash>", "</bash>"
_FENCE = re.compile(r"(?P<ticks>`{3,})(?P<language>[^\n`]*)\n")
_FENCE_LINE = re.compile(r"^(`{3,})[ \t]*$", re.MULTILINE)
_ACTION_START = re.compile(r"^[ \t]*`{3,}(?:bash|sh|shell)[ \t]*$|<bash>", re.MULTILINE)
_LANGUAGES = ("bash", "sh", "shell")


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """One action: a shell command."""

    command: str
    """The command, as it is given to the shell."""

    @property
    def kind(self) -> Literal["submit", "edit", "shell"]:
        """``submit``: ends the episode; ``edit``: calls the edit program; ``shell``: anything else."""
        stripped = self.command.strip()
        if stripped == SUBMIT:
            return "submit"
        return "edit" if stripped.split(maxsplit=1)[:1] == [EDITOR] else "shell"


def parse_action(text: str, *, require_thought: bool = True) -> tuple[str, Action]:
    """Split an answer into its thought (stripped; empty where there is none) and its action.

    Raises:
        MalformedActionError: The answer is not in the grammar; the message says in what way.
    """
    thought, rest = split_thought(text, require_thought=require_thought)
    command, after = _split_action(rest)
    if after.strip():
        if _ACTION_START.search(after):
            raise MalformedActionError("several actions: write exactly one")
        raise MalformedActionError("text after the action: the action must come last")
    if not command.strip():
        raise MalformedActionError("empty action: the block holds no command")
    _refuse_unrunnable(command)
    return thought, Action(command=command)


def parse_actions(text: str, *, require_thought: bool = True) -> tuple[str, tuple[Action, ...]]:
    """Split an answer of several actions, one after the other, into its thought and its actions: at least one.

    Raises:
        MalformedActionError: The answer is not a thought and then actions; the message says in what way.
    """
    thought, rest = split_thought(text, require_thought=require_thought)
    actions: list[Action] = []
    while rest.strip() or not actions:
        command, rest = _split_action(rest)
        if not command.strip():
            raise MalformedActionError("empty action: the block holds no command")
        _refuse_unrunnable(command)
        actions.append(Action(command=command))
    return thought, tuple(actions)


def format_action(command: Action | str) -> str:
    """Write the fenced block alone.

    Raises:
        MalformedActionError: No text in the grammar could mean this command: it is blank, or holds a NUL character or
            a lone surrogate.
    """
    text = command.command if isinstance(command, Action) else command
    if not text.strip():
        raise MalformedActionError("empty action: the command is blank")
    _refuse_unrunnable(text)
    longest = max((len(ticks) for ticks in _FENCE_LINE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}bash\n{text}\n{fence}"


def format_answer(thought: str, action: Action | str) -> str:
    """Write an answer; with an empty thought, the action alone.

    Raises:
        MalformedActionError: The thought holds ``</think>``, or the command cannot be written.
    """
    if _UNTHINK in thought:
        raise MalformedActionError(f"the thought holds {_UNTHINK}")
    block = format_action(action)
    return f"{_THINK}\n{thought.strip()}\n{_UNTHINK}\n{block}" if thought.strip() else block


def format_observation(result: CommandResult) -> str:
    """Write what a command did as the agent sees it: its exit code, and its output."""
    if result.timed_out:
        first = f"timed out after {result.seconds:.0f} s and was killed (exit code: {result.exit_code})"
    else:
        first = f"exit code: {result.exit_code}"
    if result.truncated:
        first += " (output too long: its middle was left out)"
    output = result.output.rstrip("\n")
    return f"{first}\n{output}" if output else first


def format_malformed(error: MalformedActionError) -> str:
    """Write the observation that follows an answer without exactly one action: what was wrong, and the form."""
    form = f"{_THINK}\nyour thought\n{_UNTHINK}\n```bash\none command\n```"
    return f"not run: {error}\nAnswer in this form:\n{form}"


def split_thought(text: str, *, require_thought: bool) -> tuple[str, str]:
    """Split an answer into its thought, stripped, and what follows it.

    Raises:
        MalformedActionError: the thought is missing where it is required, does not come first, or does not end.
    """
    body = text.lstrip()
    if not body.startswith(_THINK):
        if not require_thought:
            return "", body
        if _THINK in body:
            raise MalformedActionError(f"text before {_THINK}: the thought must come first")
        raise MalformedActionError(f"no thought: begin with {_THINK}")
    thought, closed, rest = body[len(_THINK) :].partition(_UNTHINK)
    if not closed:
        raise MalformedActionError(f"unclosed thought: {_UNTHINK} is missing")
    return thought.strip(), rest


def _split_action(text: str) -> tuple[str, str]:
    """Return the command and the text after the action."""
    body = text.lstrip()
    if body.startswith(_TAG):
        command, closed, after = body[len(_TAG) :].partition(_UNTAG)
        if not closed:
            raise MalformedActionError(f"unclosed action: {_UNTAG} is missing")
        return command.removeprefix("\n").removesuffix("\n"), after
    opening = _FENCE.match(body)
    if opening is None:
        if _ACTION_START.search(body):
            raise MalformedActionError("text before the action: only the thought may stand before it")
        raise MalformedActionError("no action: write one command in a ```bash block")
    language = opening["language"].strip(" \t")
    if language not in _LANGUAGES:
        raise MalformedActionError(f"no action: the block must be ```bash, not ```{language[:20]}")
    return _split_fence(body, opening)


def _split_fence(body: str, opening: re.Match[str]) -> tuple[str, str]:
    for closing in _FENCE_LINE.finditer(body, opening.end()):
        if len(closing[1]) >= len(opening["ticks"]):
            # The newline before the closing ticks belongs to the fence; an empty block has none of its own.
            return body[opening.end() : max(opening.end(), closing.start() - 1)], body[closing.end() :]
    raise MalformedActionError("unclosed action: the closing ``` is missing")


def _refuse_unrunnable(command: str) -> None:
    if "\0" in command:
        raise MalformedActionError("the command holds a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in command):
        raise MalformedActionError("the command holds a lone surrogate: it is not valid Unicode text")
