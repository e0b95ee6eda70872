from inikit.merge import overlay
from inikit.parser import parse

TEXT = "[ui]\ncolor = red\n"


def test_set_in_copy():
    shipped = parse(TEXT)
    shipped.copy().set("ui", "color", "blue")
    assert shipped.get("ui", "color") == "red"


def test_overlay_keeps_base():
    shipped = parse(TEXT)
    result = overlay(shipped, parse("[ui]\ncolor = blue\n"))
    assert result.get("ui", "color") == "blue"
    assert shipped.get("ui", "color") == "red"


def test_same_content():
    assert parse(TEXT).copy().section("ui").items() == [("color", "red")]


def test_new_section():
    shipped = parse(TEXT)
    shipped.copy().set("net", "port", 1)
    assert shipped.names() == ["ui"]
