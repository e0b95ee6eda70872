import pytest

from inikit.errors import ParseError
from inikit.parser import parse


def test_after_blank():
    with pytest.raises(ParseError):
        parse("[paths]\ndata = /srv\n\n  cache\n")


def test_after_section():
    with pytest.raises(ParseError):
        parse("[a]\nx = 1\n[b]\n  2\n")


def test_three_lines():
    document = parse("[a]\nx = 1\n  2\n  3\n\ny = 4\n")
    assert document.get("a", "x") == "1\n2\n3"
    assert document.get("a", "y") == "4"


def test_at_the_top():
    with pytest.raises(ParseError) as caught:
        parse("  x\n")
    assert caught.value.line == 1
