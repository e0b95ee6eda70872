"""The plan's parts that need no container: titles, quoting, searches' words, thoughts."""

from __future__ import annotations

import random
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srl_swe.experts.forms import edit_command, quote
from srl_swe.experts.patches import Edit
from srl_swe.experts.plans import PlannedStep, title_of
from srl_swe.experts.thoughts import MOST_WORDS, thought_for


@pytest.mark.parametrize(
    ("problem", "title"),
    [
        ("# Totals are off by a cent.\n\nMore.", "Totals are off by a cent"),
        ("\n\n====\n**Bold** claim\n", "Bold** claim"),
        ("", ""),
    ],
)
def test_the_title_is_the_first_line_with_words(problem: str, title: str) -> None:
    assert title_of(problem) == title


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_quoted_text_is_one_word_of_the_shell(text: str) -> None:
    shown = subprocess.run(["bash", "-c", f"printf %s {quote(text)}"], capture_output=True, check=True).stdout
    assert shown.decode() == text


def test_quotes_are_as_plain_as_they_can_be() -> None:
    assert quote("a $b") == "'a $b'"
    assert quote("it's") == '"it\'s"'


@pytest.mark.parametrize(
    ("edit", "command"),
    [
        (
            Edit(kind="replace", path="a/b.py", old="x = 1", new="x = 2"),
            "str_replace_editor str_replace a/b.py --old_str 'x = 1' --new_str 'x = 2'",
        ),
        (
            Edit(kind="replace", path="a b", old="- x", new="y"),
            "str_replace_editor str_replace 'a b' --old_str='- x' --new_str 'y'",
        ),
        (Edit(kind="create", path="n.py", new="x\n"), "str_replace_editor create n.py --file_text 'x\n'"),
        (Edit(kind="delete", path="n.py"), "rm n.py"),
        (Edit(kind="rename", path="n.py", new="d/m.py"), "mkdir -p d && git mv n.py d/m.py"),
    ],
)
def test_each_kind_of_edit_has_a_command(edit: Edit, command: str) -> None:
    assert edit_command(edit) == command


_EDIT = {"path": "src/money.py", "scope": "total", "edit": "replace", "line": "3"}
_STEPS = [
    PlannedStep(kind="orient", command="ls", facts={"title": "word {braces} " * 30}),
    PlannedStep(kind="search", command="grep", facts={"ident": "total", "named": "yes"}),
    PlannedStep(kind="search", command="grep", facts={"ident": "total", "named": ""}),
    PlannedStep(kind="view", command="view", facts={"ident": "total", "path": "src/money.py", "line": "3"}),
    PlannedStep(kind="view", command="view", facts={"ident": "", "path": "src/money.py", "line": "3", "scope": ""}),
    PlannedStep(kind="tests", command="head", facts={"path": "tests/test_money.py"}),
    PlannedStep(kind="edit", command="e", facts=_EDIT | {"old": "round(x)", "new": "quantize(x)"}),
    PlannedStep(kind="edit", command="e", facts=_EDIT | {"old": "x", "new": "x or empty_list"}),
    PlannedStep(kind="edit", command="e", facts=_EDIT | {"old": "if a < b:", "new": "if a <= b:"}),
    PlannedStep(kind="edit", command="e", facts=_EDIT | {"old": "import os", "new": "import os, re", "imports": "yes"}),
    PlannedStep(kind="view", command="view", facts=_EDIT | {"imports": "yes"}),
    PlannedStep(kind="edit", command="e", facts=_EDIT | {"old": "", "new": "", "edit": "create"}),
    PlannedStep(kind="edit", command="e", facts=_EDIT | {"old": "", "new": "", "edit": "rewrite"}),
    PlannedStep(kind="check", command="git diff"),
    PlannedStep(kind="run", command="python -m pytest -q"),
    PlannedStep(kind="run", command="python -m compileall", facts={"untested": "yes"}),
    PlannedStep(kind="run", command="python -m pytest -q", facts={"before": "yes"}),
    PlannedStep(kind="check", command="git diff", facts={"tested": "yes"}),
    PlannedStep(kind="reproduce", command="python - <<'EOF'", facts={"title": "word " * 30}),
    PlannedStep(kind="reproduce", command="python - <<'EOF'", facts={"after": "yes"}),
    PlannedStep(kind="slip", command="cat money.py", facts=_EDIT | {"slip": "path"}),
    PlannedStep(kind="slip", command="e", facts=_EDIT | {"old": "x", "new": "y", "slip": "edit"}),
    PlannedStep(kind="undo", command="git checkout src/money.py", facts=_EDIT | {"old": "x", "new": "y"}),
    PlannedStep(kind="edit", command="e", facts=_EDIT | {"old": "x", "new": "y", "mended": "yes"}),
    PlannedStep(kind="submit", command="submit"),
]


@pytest.mark.parametrize("step", _STEPS, ids=lambda step: step.kind)
def test_thoughts_are_short_sentences_decided_by_the_seed(step: PlannedStep) -> None:
    for seed in range(8):
        thought = thought_for(step, "exit code: 0\nsrc/money.py:3: total", random.Random(seed))
        assert thought == thought_for(step, "exit code: 0\nsrc/money.py:3: total", random.Random(seed))
        assert 3 <= len(thought.split()) <= MOST_WORDS
        assert thought.endswith((".", "?", "…"))
        assert "  " not in thought


def test_the_last_thought_reads_the_test_result() -> None:
    submit = PlannedStep(kind="submit", command="submit")
    rng = random.Random(0)
    assert "21" in thought_for(submit, "exit code: 0\n21 passed in 0.1s", rng)
    assert "2 of the visible tests still fail" in thought_for(submit, "exit code: 1\n2 failed, 3 passed in 1s", rng)
