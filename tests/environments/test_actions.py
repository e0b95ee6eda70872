"""The grammar: what is read is what was written, and everything else is refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srl_swe.environments.actions import (
    Action,
    format_action,
    format_answer,
    format_malformed,
    format_observation,
    parse_action,
)
from srl_swe.errors import MalformedActionError
from srl_swe.records import CommandResult

PIECES = st.sampled_from(
    ["```", "````", "```bash", "`", "<bash>", "</bash>", "<think>", "</think>", "\n", " ", "ls", "\r", "é🙂"]
)
COMMANDS = (
    (st.text() | st.lists(PIECES, max_size=12).map("".join))
    .filter(str.strip)
    .filter(lambda s: "\0" not in s and not any("\ud800" <= c <= "\udfff" for c in s))
)
THOUGHTS = (st.text() | st.lists(PIECES, max_size=8).map("".join)).map(str.strip).filter(lambda s: "</think>" not in s)


@given(command=COMMANDS, thought=THOUGHTS)
def test_what_is_written_is_read_back(command: str, thought: str) -> None:
    text = format_answer(thought, command)
    assert parse_action(text, require_thought=bool(thought)) == (thought, Action(command=command))
    assert parse_action(f" \n{text}\n \n", require_thought=bool(thought)) == (thought, Action(command=command))
    assert format_answer(*parse_action(text, require_thought=False)) == text


@given(st.text() | st.lists(PIECES, max_size=20).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    for require_thought in (True, False):
        try:
            thought, action = parse_action(text, require_thought=require_thought)
        except MalformedActionError as error:
            assert str(error)
        else:
            assert parse_action(format_answer(thought, action), require_thought=False) == (thought, action)


@pytest.mark.parametrize(
    ("text", "thought", "command"),
    [
        ("<think>a</think>\n```bash\nls\n```", "a", "ls"),
        ("<think>a</think>```sh\nls -l\ncat x\n```  ", "a", "ls -l\ncat x"),
        ("<think></think>```shell \nls\n```\n", "", "ls"),
        ("<think>\na\n\nb\n</think>\n\n<bash>\nls\n</bash>", "a\n\nb", "ls"),
        ("<think>a</think><bash>ls</bash>", "a", "ls"),
        (
            "<think>first ```bash\nrm x\n``` or <bash>y</bash></think>```bash\nls\n```",
            "first ```bash\nrm x\n``` or <bash>y</bash>",
            "ls",
        ),
        ("<think>a</think>````bash\ncat <<E\n```\nE\n````", "a", "cat <<E\n```\nE"),
        ("<think>a</think>```bash\necho '</bash> <think>'\n```", "a", "echo '</bash> <think>'"),
    ],
)
def test_accepted_forms(text: str, thought: str, command: str) -> None:
    assert parse_action(text) == (thought, Action(command=command))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no thought"),
        ("ls", "no thought"),
        ("```bash\nls\n```", "no thought"),
        ("Well, <think>a</think>```bash\nls\n```", "text before <think>"),
        ("<think>a```bash\nls\n```", "unclosed thought"),
        ("<think>a</think>", "no action"),
        ("<think>a</think> ls", "no action"),
        ("<think>a</think>```python\nls\n```", "must be ```bash, not ```python"),
        ("<think>a</think>```\nls\n```", "must be ```bash"),
        ("<think>a</think>So:\n```bash\nls\n```", "text before the action"),
        ("<think>a</think>```bash\nls\n", "unclosed action"),
        ("<think>a</think><bash>ls", "unclosed action"),
        ("<think>a</think>```bash\n```", "empty action"),
        ("<think>a</think>```bash\n \n\n```", "empty action"),
        ("<think>a</think><bash> </bash>", "empty action"),
        ("<think>a</think>```bash\nls\n```\nDone.", "text after the action"),
        ("<think>a</think>```bash\nls\n```\n```bash\npwd\n```", "several actions"),
        ("<think>a</think><bash>ls</bash><bash>pwd</bash>", "several actions"),
        ("<think>a</think>```bash\nls\0\n```", "NUL"),
        ("<think>a</think>```bash\n\ud800\n```", "surrogate"),
    ],
)
def test_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(MalformedActionError) as caught:
        parse_action(text)
    assert reason in str(caught.value)
    assert str(caught.value) in format_malformed(caught.value)


def test_a_fence_longer_than_what_it_holds() -> None:
    assert format_action("ls") == "```bash\nls\n```"
    assert format_action("echo `date`") == "```bash\necho `date`\n```"
    assert format_action("a\n```\nb") == "````bash\na\n```\nb\n````"


@pytest.mark.parametrize("command", ["", " \n", "a\0b", "\udc80"])
def test_a_command_that_cannot_be_written_is_refused(command: str) -> None:
    with pytest.raises(MalformedActionError):
        format_action(command)


def test_a_thought_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(MalformedActionError, match="</think>"):
        format_answer("a</think>b", "ls")


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("submit", "submit"),
        (" submit\n", "submit"),
        ("submit now", "shell"),
        ("str_replace_editor view a", "edit"),
        ("str_replace_editors", "shell"),
        ("ls && str_replace_editor view a", "shell"),
    ],
)
def test_kinds(command: str, kind: str) -> None:
    assert Action(command=command).kind == kind


def test_observations_say_what_happened() -> None:
    assert format_observation(CommandResult(output="a\nb\n", exit_code=3)) == "exit code: 3\na\nb"
    assert format_observation(CommandResult(output="", exit_code=0)) == "exit code: 0"
    late = format_observation(CommandResult(output="x", exit_code=124, timed_out=True, truncated=True, seconds=60.2))
    assert late.startswith("timed out after 60 s and was killed (exit code: 124) (output too long")
