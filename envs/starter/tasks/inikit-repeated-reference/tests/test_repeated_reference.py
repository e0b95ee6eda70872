import pytest

from inikit.errors import InterpolationError
from inikit.interpolation import lookup
from inikit.parser import parse


def test_twice_in_one_value():
    document = parse("[a]\nx = 1\ny = ${x}-${x}\n")
    assert lookup(document, "a", "y") == "1-1"


def test_twice_by_two_ways():
    document = parse("[a]\nx = 1\ny = ${x}\nz = ${y}${x}\n")
    assert lookup(document, "a", "z") == "11"


def test_once():
    document = parse("[a]\nx = 1\n[b]\ny = ${a:x} $$\n")
    assert lookup(document, "b", "y") == "1 $"


def test_circle():
    document = parse("[a]\nx = ${y}\ny = ${x}\n")
    with pytest.raises(InterpolationError):
        lookup(document, "a", "x")


def test_unknown():
    with pytest.raises(InterpolationError):
        lookup(parse("[a]\nx = ${no}\n"), "a", "x")
