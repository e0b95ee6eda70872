"""Each form of a command does what the plainest one does: run by a real shell, on real files."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srl_swe.experts.forms import draw_habits, edit_command, orient_command, search_command, view_command
from srl_swe.experts.patches import Edit
from srl_swe.experts.reproduction import example_script

TOOLS = Path(__file__).parents[2] / "docker" / "tools"
TEXT = 'import os\n\n\ndef total(a, b):\n    """It\'s a/b & c."""\n    return a - b  # [x]* $y ^z \\n\n\n\nLAST = "1"\n'


def shell(command: str, folder: Path) -> str:
    environment = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}", "HOME": str(folder)}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


EDITS = [
    Edit(kind="replace", path="m.py", old="a - b", new="a + b"),
    Edit(kind="replace", path="m.py", old="# [x]* $y ^z \\n", new="# a/b & \\1 $(z)"),
    Edit(kind="replace", path="m.py", old="It's", new='"It"'),
    Edit(kind="replace", path="m.py", old="\n\n\ndef total(a, b):", new="\nimport re\n\n\ndef total(a, b=0):"),
    Edit(kind="replace", path="m.py", old='LAST = "1"', new='LAST = "1"\nMORE = """x"""'),
    Edit(kind="replace", path="m.py", old='    """It\'s a/b & c."""\n', new=""),
    Edit(kind="replace", path="m.py", old="import os", new="EOF\nimport os"),
    Edit(kind="create", path="n.py", new="x = '$HOME'\n"),
    Edit(kind="create", path="n.py", new="no newline"),
    Edit(kind="create", path="n.py", new="a\nEOF\nb\n"),
]


@pytest.mark.parametrize("editing", ["editor", "sed", "python", "patch"])
@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: f"{edit.kind}-{edit.new[:8]!r}")
def test_every_form_makes_the_same_edit(edit, editing, tmp_path):
    (tmp_path / "m.py").write_text(TEXT)
    shell(edit_command(edit, TEXT, editing), tmp_path)
    expected = TEXT.replace(edit.old, edit.new) if edit.kind == "replace" else edit.new
    assert (tmp_path / edit.path).read_text() == expected


def test_the_forms_differ():
    edit = EDITS[0]
    forms = [edit_command(edit, TEXT, editing) for editing in ("editor", "sed", "python", "patch")]
    assert [form.split()[0] for form in forms] == ["str_replace_editor", "sed", "python", "git"]
    # Windows' line ends are nothing that these know of.
    assert edit_command(edit, TEXT.replace("\n", "\r\n"), "sed").startswith("str_replace_editor")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    old=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20),
    new=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20),
    editing=st.sampled_from(["sed", "python", "patch"]),
)
def test_any_line_can_be_edited(tmp_path, old, new, editing):
    text = f"first\n\x7f{old}\x7f\nlast\n"
    if text.count(old) != 1 or old == new:
        return
    edit = Edit(kind="replace", path="m.txt", old=old, new=new)
    (tmp_path / "m.txt").write_text(text)
    shell(edit_command(edit, text, editing), tmp_path)
    assert (tmp_path / "m.txt").read_text() == text.replace(old, new)


@pytest.mark.parametrize("viewing", ["editor", "sed", "numbered", "whole"])
def test_every_view_shows_the_lines(viewing, tmp_path):
    (tmp_path / "m.py").write_text("".join(f"line {n}\n" for n in range(1, 101)))
    shown = shell(view_command("m.py", 40, 50, 100, viewing), tmp_path)
    assert [word for word in ("line 39", "line 40", "line 50", "line 51") if word in shown] == ["line 40", "line 50"]
    (tmp_path / "s.py").write_text("one\ntwo\n")
    assert "two" in shell(view_command("s.py", 1, 2, 2, viewing), tmp_path)


@pytest.mark.parametrize("habit", ["grep", "git grep", "words", "files"])
def test_every_search_finds_the_file(habit, tmp_path):
    shell("git init -q . && mkdir pkg", tmp_path)
    for path in ("pkg/a.py", "top.py"):
        (tmp_path / path).write_text("def total():\n    pass\n")
    shell("git add .", tmp_path)
    assert "pkg/a.py" in shell(search_command("def total", PurePosixPath("pkg/a.py"), habit), tmp_path)
    assert shell(search_command("def total", PurePosixPath("top.py"), habit), tmp_path).strip()


def test_every_first_look_works(tmp_path):
    (tmp_path / "pkg").mkdir()
    for path in ("README.md", "pkg/__init__.py"):
        (tmp_path / path).write_text("text\n")
    shell("git init -q . && git add .", tmp_path)
    looks = {orient_command(("README.md", "pkg/__init__.py"), random.Random(seed)) for seed in range(60)}
    assert len(looks) == 6
    assert all("pkg" in shell(look, tmp_path) for look in looks)


def test_seeds_give_every_habit():
    drawn = [draw_habits(random.Random(seed)) for seed in range(300)]
    assert {h.editing for h in drawn} == {"editor", "sed", "python", "patch"}
    assert {h.viewing for h in drawn} == {"editor", "sed", "numbered", "whole"}
    assert {h.searching for h in drawn} == {"grep", "git grep", "words", "files"}
    assert {h.reproduces for h in drawn} == {"first", "before", "never"}
    assert {h.slips for h in drawn} == {"", "path", "edit", "old"}
    assert {(h.orients, h.tests_first, h.reads_tests) for h in drawn} == {
        (a, b, c) for a in (True, False) for b in (True, False) for c in (True, False)
    }
    assert len(set(drawn)) > 150


SOURCES = {
    "src/pkg/money.py": "class Money:\n    pass\n\n\ndef total(x):\n    return x\n",
    "tests/test_a.py": "def q(): 0",
}


@pytest.mark.parametrize(
    ("block", "script"),
    [
        (">>> total(3)\n4\n", "from pkg.money import total\nprint(repr(total(3)))"),
        (
            ">>> x = Money()\n>>> for y in [x]:\n...     print(y)\n",
            "from pkg.money import Money\nx = Money()\nfor y in [x]:\n    print(y)",
        ),
        ("import re\nprint(total(re.I))\n", "from pkg.money import total\nimport re\nprint(total(re.I))"),
        (">>> journal.post(rent)\n", None),
        (">>> q()\n", None),
        ("not python at all\n", None),
        ("x = total(1)\n", None),
        ("", None),
    ],
)
def test_an_example_becomes_a_script_that_stands_alone(block, script):
    assert example_script(block, SOURCES) == script
