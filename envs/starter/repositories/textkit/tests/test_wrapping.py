import pytest

from textkit.errors import TextError
from textkit.wrapping import dedent, indent, truncate, wrap


def test_wrap():
    assert wrap("the quick brown fox", 10) == ["the quick", "brown fox"]


def test_wrap_cuts_long_words():
    assert wrap("abcdefgh", 3) == ["abc", "def", "gh"]


def test_wrap_rejects_width():
    with pytest.raises(TextError):
        wrap("text", 0)


def test_indent():
    assert indent("a\n\nb", "> ") == "> a\n\n> b"


def test_indent_first():
    assert indent("a\nb", "  ", first="- ") == "- a\n  b"


def test_dedent():
    assert dedent("    a\n      b") == "a\n  b"


def test_truncate():
    assert truncate("the quick brown fox", 13) == "the quick..."
    assert truncate("short", 10) == "short"
