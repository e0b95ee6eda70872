from inikit.merge import changes, merge
from inikit.parser import parse


def test_later_wins():
    result = merge(parse("[a]\nx = 1\ny = 2\n"), parse("[a]\nx = 3\n"))
    assert result.section("a").items() == [("x", "3"), ("y", "2")]


def test_changes():
    old, new = parse("[a]\nx = 1\ny = 2\n"), parse("[a]\nx = 3\ny = 2\n")
    assert changes(old, new) == [("a", "x", "1", "3")]
