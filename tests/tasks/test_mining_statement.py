"""How failing tests are told: the probe runs real tests, and what it saw becomes words."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from srl_swe.tasks.mining import failure_probe
from srl_swe.tasks.mining.failures import Failure, describe
from srl_swe.tasks.mining.notes import changelog_notes, choose_notes, clean_note, entries, message_notes
from srl_swe.tasks.mining.secrets import Secrets, secrets_of
from srl_swe.tasks.mining.statement import draft, tell

NOTHING = Secrets(lines=frozenset(), names=frozenset())

MODULE = """
import warnings


def double(x):
    if x is None:
        raise TypeError("no number")
    return x + 1


class Box:
    def __init__(self):
        self.items = []

    def add(self, item):
        self.items.append(item)

    def full(self):
        return False
"""

TESTS = '''
import unittest

import pytest
from thing import Box, double
import thing

SIZE = 7


def both(text):
    """Not shown: a docstring."""
    return double(text), 1


def test_equal():
    noise = 12
    number = 3
    assert double(number) == number * 2


def test_swapped():
    assert 10 == double(5)


@pytest.mark.parametrize(("data", "expected"), [("a", "aa"), ("b", "bb")])
def test_crash(data, expected):
    assert double(data) == expected


def test_no_exception():
    with pytest.raises(ValueError):
        double(1)


def test_other_exception():
    with pytest.raises(ValueError):
        double(None)


def test_truth():
    box = Box()
    box.add(SIZE)
    unrelated = Box()
    assert box.full()
    assert not box.items


def test_loop():
    for value in (1, 4):
        assert double(value) == 2 * value


def test_helper():
    first, second = both(6)
    assert first == 12


def test_warning():
    with pytest.warns(DeprecationWarning):
        thing.double(3)


def test_words():
    if double(1) == 2:
        pytest.fail("it should be something else")


def test_superseded():
    number = 1
    number = 2
    box = Box()
    box.items
    other = box.add(number)
    assert box.items == [other]


def test_rounds():
    box = Box()
    for value in (1, 4):
        box.add(value)
        assert len(box.items) == 1


def test_rounds_alone():
    result = 0
    for value in (1, 4):
        result = double(value)
        assert result == 2 * value


def test_loops_of_one_name():
    box = Box()
    for value in range(3):
        box.add(value)
    for value in (3, 4):
        assert box.items[value] == value


@pytest.mark.parametrize("other", [4, 5])
@pytest.mark.parametrize(("box", "expected"), [(Box(), 1), pytest.param(Box(), 2, id="x")])
def test_argument(box, expected, other):
    assert box.full() == expected


def test_expected_by_name():
    number = 3
    expected = (number, None)
    assert double(None) == expected


def test_contains():
    assert 3 in Box().items


class TestBox(unittest.TestCase):
    def setUp(self):
        self.box = Box()
        self.other = 3

    def test_items(self):
        self.box.add(1)
        self.assertEqual([1, 2], self.box.items)

    def test_refuses(self):
        self.assertRaises(ValueError, self.box.add, None)

    def test_full(self):
        self.assertTrue(self.box.full())
'''


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Failure | None]:
    root = tmp_path_factory.mktemp("root")
    (root / "thing.py").write_text(MODULE)
    folder = tmp_path_factory.mktemp("probe")
    names = [line.split("def ")[1].partition("(")[0] for line in TESTS.splitlines() if "def test_" in line]
    functions = [
        n for n in names if n not in ("test_items", "test_refuses", "test_full", "test_crash", "test_argument")
    ]
    only = [f"tests/test_thing.py::{name}" for name in functions]
    only += [f"tests/test_thing.py::TestBox::{name}" for name in ("test_items", "test_refuses", "test_full")]
    only += ["tests/test_thing.py::test_crash[a-aa]", "tests/test_thing.py::test_crash[b-bb]"]
    only += ["tests/test_thing.py::test_argument[x-4]"]
    write = {"tests/test_thing.py": TESTS}
    order = {"root": str(root), "write": write, "run": list(write), "only": only}
    (folder / "order.json").write_text(json.dumps(order))
    command = [sys.executable, "-P", "-s", failure_probe.__file__, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seen = json.loads((folder / "failures.json").read_text())
    assert set(seen) == set(only), done.stdout
    return {name.rpartition("::")[2]: describe(what, write) for name, what in seen.items()}


def told(failures: dict[str, Failure | None], name: str) -> str:
    failure = failures[name]
    assert failure is not None
    return tell(failure)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "test_equal",
            "    from thing import double\n\n    number = 3\n    double(number)\n\nThis gives `4`. I expected `6`.",
        ),
        ("test_swapped", "    from thing import double\n\n    double(5)\n\nThis gives `6`. I expected `10`."),
        (
            "test_crash[a-aa]",
            "    from thing import double\n\n    double('a')\n\n"
            "This raises `TypeError` (`can only concatenate str (not \"int\") to str`). I expected `'aa'`.",
        ),
        (
            "test_no_exception",
            "    from thing import double\n\n    double(1)\n\nThis raises nothing. I expected `ValueError`.",
        ),
        (
            "test_other_exception",
            "    from thing import double\n\n    double(None)\n\n"
            "This raises `TypeError` (`no number`). I expected `ValueError`.",
        ),
        (
            "test_truth",
            "    from thing import Box\n\n    SIZE = 7\n    box = Box()\n    box.add(SIZE)\n    box.full()\n\n"
            "This is false; it should be true.\n\nIt should also hold that\n\n    assert not box.items",
        ),
        ("test_loop", "    from thing import double\n\n    double(4)\n\nThis gives `5`. I expected `8`."),
        (
            "test_superseded",
            "    from thing import Box\n\n    number = 2\n    box = Box()\n    box.items\n    other = box.add(number)\n"
            "    box.items\n\nThis gives `[2]`. I expected `[None]`.",
        ),
        (
            "test_rounds",
            "    from thing import Box\n\n    box = Box()\n    for value in (1, 4):\n        box.add(value)\n"
            "        assert len(box.items) == 1\n\n"
            "This check fails: `2 != 1`.",
        ),
        (
            "test_rounds_alone",
            "    from thing import double\n\n    result = double(4)\n    result\n\nThis gives `5`. I expected `8`.",
        ),
        (
            "test_loops_of_one_name",
            "    from thing import Box\n\n    box = Box()\n\n    for value in range(3):\n        box.add(value)\n\n"
            "    box.items[3]\n\nThis raises `IndexError` (`list index out of range`). I expected `3`.",
        ),
        (
            "test_argument[x-4]",
            "    from thing import Box\n\n    box = Box()\n    box.full()\n\nThis gives `False`. I expected `2`.",
        ),
        (
            "test_expected_by_name",
            "    from thing import double\n\n    number = 3\n    double(None)\n\n"
            "This raises `TypeError` (`no number`). I expected `(number, None)`.",
        ),
        (
            "test_warning",
            "    import thing\n\n    thing.double(3)\n\n"
            "This does not give the warning that I expected, `DeprecationWarning`.",
        ),
        ("test_contains", "    from thing import Box\n\n    Box().items\n\nThis gives `[]`. It should contain `3`."),
        (
            "test_items",
            "    from thing import Box\n\n    self.box = Box()\n    self.box.add(1)\n    self.box.items\n\n"
            "This gives `[1]`. I expected `[1, 2]`.",
        ),
        (
            "test_refuses",
            "    from thing import Box\n\n    self.box = Box()\n    self.box.add(None)\n\n"
            "This raises nothing. I expected `ValueError`.",
        ),
        (
            "test_full",
            "    from thing import Box\n\n    self.box = Box()\n    self.box.full()\n\n"
            "This is false; it should be true.",
        ),
    ],
)
def test_what_is_told(failures, name, text):
    assert told(failures, name) == text


def test_helpers_of_the_file_are_shown(failures):
    text = told(failures, "test_helper")
    assert "def both(text):" in text
    assert "first, second = both(6)" in text
    assert text.endswith("This gives `7`. I expected `12`.")


def test_what_is_no_comparison_is_shown_as_it_is(failures):
    text = told(failures, "test_words")
    assert text.endswith("This check fails: `it should be something else`.")
    assert "if double(1) == 2:" in text


def test_a_failure_outside_of_the_test_says_nothing():
    seen = {"frames": [], "function": "test_a", "exception": "AssertionError", "message": ""}
    assert describe(seen, {}) is None


def test_the_draft(failures):
    cases = {f"tests/test_thing.py::{n}": f for n, f in failures.items() if f is not None and n.startswith("test_cr")}
    text = draft("thing", ["Fix ``double`` of text (#12)", "Nothing to do with it, at all"], cases, NOTHING)
    assert text.startswith("# thing: `double('a')` raises `TypeError`\n\nFix `double` of text.\n") or text.startswith(
        "# thing: Fix `double` of text\n"
    )
    assert text.count("from thing import double") == 1
    assert "Nothing to do" not in text
    assert "`double('b')` raises `TypeError`" in text


@pytest.mark.parametrize(
    ("note", "clean"),
    [
        ("Fix :func:`~x.add` for floats (:issue:`12`, by @ann)", "Fix `x.add` for floats"),
        ("Bug fix: ``None`` is kept. Thanks to Ann.", "`None` is kept."),
        ("Fixes an issue where nothing happens (https://example.org/1)", "Nothing happens"),
        ("Fix [`copy`][x.copy] and [paste](y)", "Fix `copy` and paste"),
        ("[#12](https://x.org) Do not lose hints - @ann", "Do not lose hints"),
        ("Restore autospec of ``@cached`` methods", "Restore autospec of `@cached` methods"),
    ],
)
def test_notes_are_cleaned(note, clean):
    assert clean_note(note) == clean


def test_notes_speak_of_the_tests_and_not_of_the_fix():
    notes = [
        "Blank lines are kept in comments",
        "Keep blank lines in the documentation",
        "Faster start of the program",
    ]
    failing = "t.py::test_keep_blank_lines"
    assert choose_notes(notes, failing, forbidden=()) == ["Blank lines are kept in comments"]
    assert choose_notes(notes, failing, forbidden={"comments"}) == []


def test_notes_are_of_the_new_release(tmp_path: Path):
    old = "Changes\n=======\n\n1.1\n---\n\n- older\n"
    new = "Changes\n=======\n\n1.3\n---\n\n- new\n\n1.2\n---\n\n- between\n\n1.1\n---\n\n- older\n"
    for name, text in (("a", old), ("b", new)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "CHANGES.rst").write_text(text)
    assert changelog_notes(tmp_path / "a", tmp_path / "b", "1.3") == ("new",)
    assert changelog_notes(tmp_path / "a", tmp_path / "b", "1.2") == ("between",)
    assert changelog_notes(tmp_path / "a", tmp_path / "b", "1.1") == ()
    assert changelog_notes(tmp_path / "a", tmp_path / "b", "1.4") == ()


def test_entries_of_change_logs():
    lines = ["1.2 (2020-01-01)", "======", "", "- one", "  goes on", "* two", "", "A paragraph", "of two lines"]
    assert entries(lines) == ["one goes on", "two", "A paragraph of two lines"]
    assert message_notes("fix(core): Keep it\n\nBecause.\n\nSigned-off-by: A <a@b>\n") == ("Keep it", "Because.")


def test_what_would_give_the_fix_away(tmp_path: Path):
    (tmp_path / "a.py").write_text("def known_before(x):\n    return x\n")
    patch = textwrap.dedent("""\
        diff --git a/a.py b/a.py
        --- a/a.py
        +++ b/a.py
        @@ -1,2 +1,3 @@
         def known_before(x):
        -    return x
        +    hidden_helper = known_before(x)
        +    return testedName(hidden_helper)
        """)
    secrets = secrets_of(patch, tmp_path, ["testedName(1)"])
    assert secrets.names == {"hidden_helper"}
    assert secrets.leak("known_before(2) gives 2, testedName fails") == ""
    assert "hidden_helper" in secrets.leak("use hidden_helper for it")
    assert "line of the fix" in secrets.leak("write\n\n    return   testedName(hidden_helper)\n")
    shown = {"t.py::test_a": Failure(kind="crash", subject="f(1)", exception="E")}
    noted = draft("a", ["The hidden_helper is new in known_before"], shown, secrets, base_names="known_before")
    assert "hidden_helper" not in noted
