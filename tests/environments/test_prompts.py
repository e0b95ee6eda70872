"""The chat: short, in the paper's form, and the same for everyone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from srl_swe.environments.actions import parse_action
from srl_swe.environments.prompts import SYSTEM_PROMPT, chat, clip
from srl_swe.records import Step

STEPS = [Step(thought=f"secret {k}", action=f"echo {k}", observation=f"exit code: 0\n{k}") for k in range(4)]


def test_problem_and_last_two_pairs_without_thoughts() -> None:
    messages = chat("It breaks.\n", STEPS)
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert messages[1]["content"] == "It breaks.\n\n(2 earlier steps left out)"
    assert messages[2] == {"role": "assistant", "content": "```bash\necho 2\n```"}
    assert messages[-1] == {"role": "user", "content": "exit code: 0\n3"}
    assert "secret" not in str(messages)


def test_how_much_history() -> None:
    assert len(chat("p", STEPS, last=None)) == 2 + 8
    assert chat("p", STEPS, last=None)[1]["content"] == "p"
    assert len(chat("p", STEPS, last=0)) == 2
    assert chat("p", STEPS, last=3)[1]["content"].endswith("(1 earlier step left out)")
    assert chat("p", []) == chat("p", [], last=None)


def test_long_texts_are_cut() -> None:
    long = [Step(thought="", action="cat x", observation="h" * 900 + "t" * 900)]
    messages = chat("a" * 5000 + "z", long, observation_chars=300, problem_chars=400)
    assert len(messages[1]["content"]) == 400
    assert messages[1]["content"].endswith("z")
    shown = messages[-1]["content"]
    assert len(shown) == 300 and shown.startswith("hhh") and shown.endswith("ttt") and "1800 characters" in shown


def test_a_malformed_answer_is_shown_as_written() -> None:
    messages = chat("p", [Step(thought="I will just talk", action="", observation="not run")])
    assert messages[2] == {"role": "assistant", "content": "I will just talk"}


def test_the_form_it_teaches_is_the_grammar() -> None:
    form = SYSTEM_PROMPT[SYSTEM_PROMPT.index("<think>") : SYSTEM_PROMPT.rindex("```") + 3]
    assert parse_action(form)[1].command == "command"
    assert "submit" in SYSTEM_PROMPT and "str_replace_editor view" in SYSTEM_PROMPT
    assert len(SYSTEM_PROMPT) < 400


@given(st.text(max_size=300), st.integers(0, 300))
def test_clip_never_exceeds_its_limit(text: str, limit: int) -> None:
    cut = clip(text, limit)
    assert len(cut) <= limit or cut == text
    assert cut == text if len(text) <= limit else len(cut) == limit
