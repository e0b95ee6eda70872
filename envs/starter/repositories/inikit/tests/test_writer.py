from inikit.parser import parse
from inikit.writer import dump


def test_round_trip():
    text = "[a]\nx = 1\n\n[b]\ny = two\n"
    assert dump(parse(text)) == text


def test_align():
    text = "[a]\nx = 1\nlong = 2\n"
    assert dump(parse(text), align=True) == "[a]\nx    = 1\nlong = 2\n"
