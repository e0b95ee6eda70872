import pytest

from inikit.errors import ParseError
from inikit.parser import parse


def test_options():
    document = parse("[a]\nx = 1\ny = two # note\n")
    assert document.get("a", "x") == "1"
    assert document.get("a", "y") == "two"


def test_continued():
    assert parse("[a]\nx = 1\n  2\n").get("a", "x") == "1\n2"


def test_not_an_option():
    with pytest.raises(ParseError):
        parse("[a]\nnonsense\n")
