"""Changed copies of test files: what passes the original fails them, whatever the test looks like."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import test as standard_tests

from srl_swe.grading.changed_tests import changed

UNITTEST = "class T(Case):\n    def test_a(self):\n        {}\ntest_a = T().test_a\n"
FORMS = {
    "constant": "def test_a():\n    assert add(1, 2) == 3\n",
    "constant first": "def test_a():\n    assert 3 == add(1, 2)\n",
    "text": "def test_a():\n    assert str(add(1, 2)) == '3'\n",
    "no letters": "def test_a():\n    assert '%s' % add(1, 2) == '3'\n",
    "bytes": "def test_a():\n    assert str(add(1, 2)).encode() == b'3'\n",
    "truth": "def test_a():\n    assert (add(1, 2) == 3) == True\n",
    "container": "def test_a():\n    assert [add(1, 2), 4] == [3, 4]\n",
    "dictionary": "def test_a():\n    assert {'a': add(1, 2)} == {'a': 3}\n",
    "local": "def test_a():\n    expected = 3\n    assert add(1, 2) == expected\n",
    "none": "def test_a():\n    assert (None if add(1, 2) == 3 else 1) == None\n",
    "no constant": "def test_a():\n    assert add(1, 2) == add(2, 1)\n",
    "condition": "def test_a():\n    assert add(1, 2)\n",
    "condition over lines": "def test_a():\n    assert (\n        add(1, 2)\n        or False\n    )\n",
    "no condition": "def test_a():\n    add(1, 2)\n",
    "on one line": "def test_a(): add(1, 2)\n",
    "raises": "def test_a():\n    with raises(TypeError):\n        add(1, None)\n",
    "other function": "def check(x):\n    assert x == 3\n\ndef test_a():\n    check(add(1, 2))\n",
    "in a class": "class TestIt:\n    def test_a(self):\n        assert add(1, 2) == 3\ntest_a = TestIt().test_a\n",
    "equality of unittest": UNITTEST.format("self.assertEqual(add(1, 2), 3)"),
    "truth of unittest": UNITTEST.format("self.assertTrue(add(1, 2))"),
    "umlauts before": "def test_a():\n    'äöü'; assert 'ä' + str(add(1, 2)) == 'ä3'\n",
    "carriage returns": "def test_a():\r\n    assert add(1, 2) == 3\r\n",
    "form feed": "\x0cx = 1\n\x0c\ndef test_a():\n    assert add(1, 2) == 3\n",
    "loop": "def test_a():\n    for a, b in [(1, 2), (2, 1)]:\n        assert add(a, b) == 3\n",
}  # fmt: skip


def run(source: str) -> BaseException | None:
    import unittest

    names = {"add": lambda a, b: a + b, "raises": pytest.raises, "Case": unittest.TestCase}
    exec(compile(source, "test.py", "exec"), names)
    try:
        names["test_a"]()  # type: ignore[operator]
    except BaseException as error:
        return error
    return None


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_what_passes_fails_the_changed_copy(form, seed):
    assert run(form) is None
    text, names = changed(form, seed)
    assert names == {"test_a"}
    assert isinstance(run(text), AssertionError), text


def test_a_parametrised_expectation_is_changed_and_the_ids_are_not():
    source = (
        "@mark.parametrize('a,expected', [(1, 2), (2, 3)])\ndef test_a(a, expected):\n    assert a + 1 == expected\n"
    )
    text, names = changed(source, 0)
    assert names == {"test_a"}
    assert text.splitlines()[0] == source.splitlines()[0]
    names_there: dict = {"mark": type("mark", (), {"parametrize": staticmethod(lambda *_: lambda f: f)})}
    exec(text, names_there)
    with pytest.raises(AssertionError):
        names_there["test_a"](1, 2)


ALIKE = {
    "3": r"\d+",
    "'tea-2'": r"'tea-\d'",
    '"green tea"': '"green te[b-z]"',
    "b'x1y'": r"b'x\dy'",
    "('a', 'b')": r"\('.', '.'\)",
}


@pytest.mark.parametrize(("expected", "pattern"), ALIKE.items())
def test_what_is_changed_looks_as_before(expected, pattern):
    """Code that looks for what a test expects must find it in the changed copy too."""
    text, _ = changed(f"def test_a():\n    assert f(1) == {expected}\n", 0)
    found = text.splitlines()[1].partition(" == ")[2]
    assert re.fullmatch(pattern, found) and found != expected


def test_copies_differ_by_seed():
    source = "".join(f"def test_{n}():\n    assert f({n}) == 'some text'\n" for n in range(5))
    assert len({changed(source, seed)[0] for seed in range(3)}) == 3
    assert changed(source, 1) == changed(source, 1)


@pytest.mark.parametrize("source", ["", "x = (", "\0", "def helper(): ...", "a" * 10 + "ü\n"])
def test_what_cannot_be_changed_stays(source):
    assert changed(source, 0) == (source, frozenset())


def test_real_test_files_stay_valid():
    count = 0
    for path in sorted(Path(standard_tests.__path__[0]).glob("test_[a-b]*.py")):
        try:
            source = path.read_bytes().decode()
        except UnicodeDecodeError:
            continue
        text, names = changed(source, 0)
        ast.parse(text)
        count += len(names)
    assert count > 300
