import pytest

from inikit.errors import ValueFormatError
from inikit.parser import parse
from inikit.values import get_value, to_bool, to_bytes, to_list, to_seconds


def test_plain():
    assert to_bool("yes") and not to_bool("off")
    assert to_list("a, b") == ["a", "b"]
    assert to_seconds("2h") == 7200
    assert to_bytes("4k") == 4096


def test_wrong():
    with pytest.raises(ValueFormatError):
        to_bool("perhaps")


def test_get_value():
    document = parse("[a]\nport = 0x10\n")
    assert get_value(document, "a", "port", "int") == 16
