"""Actions that a model wrote into its answer's text, in the forms that agents ask for.

| form | asked for by |
|---|---|
| ``<function=NAME><parameter=KEY>VALUE</parameter></function>`` | SWE-smith (xml), OpenHands without function calls |
| ``<tool_call>{"name": …, "arguments": …}</tool_call>`` | Qwen, Hermes |
| ``<command>…</command>`` | SWE-agent (xml_thought_action) |
| ``<bash>…</bash>`` | ours |
| one fenced block in a shell's name | mini-swe-agent, ours |
| the last fenced block without a name | SWE-agent (thought_action, backticks) |
| ``{"thought": …, "command": {"name": …, "arguments": …}}`` | SWE-agent (json) |
| ``{"analysis": …, "plan": …, "commands": […], "task_complete": …}`` | Harbor's Terminus 2 |
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

from srl_swe.experts.formats.fields import compact, whole
from srl_swe.records import ToolCall

_FUNCTION = re.compile(r"<function=([\w.:-]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([\w.-]+)>(.*?)</parameter>", re.DOTALL)
_TOOL_CALL = re.compile(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", re.DOTALL)
_TAG = re.compile(r"<(command|bash)>\n?(.*?)\n?</\1>", re.DOTALL)
_FENCE = re.compile(
    r"^(?P<ticks>`{3,})(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=ticks)[ \t]*$", re.DOTALL | re.MULTILINE
)
_SHELLS = ("bash", "sh", "shell", "mswea_bash_command")
_THINKING = re.compile(r"\A\s*<think>(.*?)</think>(.*)\Z", re.DOTALL)
_LABEL = re.compile(r"\A\s*(?:THOUGHT|DISCUSSION):?[ \t]*\n?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer in its parts: a thought, and an action in one of two shapes, or none."""

    thought: str
    call: ToolCall | None = None
    command: str = ""


def read_reply(text: str, *, calls_tools: bool = False) -> list[Reply]:
    """The actions in an answer's text, one as a rule; without any, all of it is thought.

    Args:
        text: The answer.
        calls_tools: Whether the agent calls tools otherwise: then a block of code is something it shows, no action.
    """
    if (thinking := _THINKING.match(text)) and thinking[2].strip():
        first, *rest = read_reply(thinking[2], calls_tools=calls_tools)
        thought = "\n\n".join(part for part in (thinking[1].strip(), first.thought) if part)
        return [replace(first, thought=thought), *rest]
    if answer := _object(text):
        return _terminus(answer) or _json(answer) or [Reply(thought=text.strip())]
    for read in () if calls_tools else (_function, _tool_call, _tag, _fence):
        if reply := read(text):
            return [reply]
    return [Reply(thought=text.strip())]


def said_in(text: str) -> str:
    """What an answer says besides its actions, which the source gives apart."""
    answer = _object(text)
    return _plan(answer) if answer and "commands" in answer else text


def _around(text: str, match: re.Match[str]) -> str:
    """What stands before and after an action, without the label that a prompt asked for."""
    parts = (_LABEL.sub("", text[: match.start()]).strip(), text[match.end() :].strip())
    return "\n\n".join(part for part in parts if part)


def _function(text: str) -> Reply | None:
    match = _FUNCTION.search(text)
    if match is None:
        return None
    arguments = {key: value.removeprefix("\n").removesuffix("\n") for key, value in _PARAMETER.findall(match[2])}
    return Reply(thought=_around(text, match), call=ToolCall(name=match[1], arguments=compact(arguments)))


def _tool_call(text: str) -> Reply | None:
    match = _TOOL_CALL.search(text)
    call = _object(match[1]) if match else None
    name = call.get("name") if call else None
    if match is None or call is None or not isinstance(name, str) or not name.strip():
        return None
    arguments = compact(call.get("arguments") or {})
    return Reply(thought=_around(text, match), call=ToolCall(name=whole(name), arguments=arguments))


def _tag(text: str) -> Reply | None:
    match = _TAG.search(text)
    return Reply(thought=_around(text, match), command=match[2]) if match and match[2].strip() else None


def _fence(text: str) -> Reply | None:
    """One block in a shell's name (of several, the agent is told to write one: that is no action), else the last
    without a name."""
    blocks = list(_FENCE.finditer(text))
    named = [block for block in blocks if block["language"].strip() in _SHELLS]
    plain = [block for block in blocks if not block["language"].strip()]
    if len(named) > 1 or not (named or plain):
        return None
    match = named[0] if named else plain[-1]
    command = match["body"].removesuffix("\n")
    return Reply(thought=_around(text, match), command=command) if command.strip() else None


def _json(answer: dict[str, object]) -> list[Reply]:
    command, thought = answer.get("command"), answer.get("thought")
    if not isinstance(command, dict) or not isinstance(command.get("name"), str) or not command["name"].strip():
        return []
    call = ToolCall(name=whole(command["name"].strip()), arguments=compact(command.get("arguments") or {}))
    return [Reply(thought=whole(thought).strip() if isinstance(thought, str) else "", call=call)]


def _terminus(answer: dict[str, object]) -> list[Reply]:
    commands = answer.get("commands")
    if not isinstance(commands, list) or not {"analysis", "plan", "task_complete"} & answer.keys():
        return []
    calls = [ToolCall(name="bash_command", arguments=compact(c)) for c in commands if isinstance(c, dict)]
    if answer.get("task_complete") is True:
        calls.append(ToolCall(name="mark_task_complete", arguments="{}"))
    thought = _plan(answer)
    return [Reply(thought="" if i else thought, call=call) for i, call in enumerate(calls)] or [Reply(thought=thought)]


def _plan(answer: dict[str, object]) -> str:
    said = (answer.get("analysis"), answer.get("plan"))
    return whole("\n\n".join(part.strip() for part in said if isinstance(part, str) and part.strip()))


def _object(text: str) -> dict[str, object] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
