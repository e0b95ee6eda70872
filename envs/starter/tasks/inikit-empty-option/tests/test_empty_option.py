import pytest

from inikit.errors import ValueFormatError
from inikit.parser import parse
from inikit.values import get_value

DOCUMENT = parse("[log]\nprefix =\nlevel = 3\n")


def test_empty_text():
    assert get_value(DOCUMENT, "log", "prefix", default="app: ") == ""


def test_empty_list():
    assert get_value(DOCUMENT, "log", "prefix", "list", ["a"]) == []


def test_empty_number():
    with pytest.raises(ValueFormatError):
        get_value(DOCUMENT, "log", "prefix", "int", 5)


def test_missing():
    assert get_value(DOCUMENT, "log", "color", default="red") == "red"


def test_set():
    assert get_value(DOCUMENT, "log", "level", "int", 5) == 3
