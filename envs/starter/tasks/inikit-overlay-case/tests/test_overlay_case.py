from inikit.merge import overlay
from inikit.parser import parse

BASE = parse("[server]\nport = 80\n")
USER = parse("[Server]\nport = 8080\n[Ui]\ncolor = red\n")


def test_file_with_capitals():
    result = overlay(BASE, USER, only=["server"])
    assert result.get("server", "port") == "8080"


def test_argument_with_capitals():
    result = overlay(BASE, USER, only=["SERVER", "ui"])
    assert result.get("server", "port") == "8080"
    assert result.get("ui", "color") == "red"


def test_same_spelling():
    result = overlay(BASE, USER, only=["Ui"])
    assert result.get("server", "port") == "80"
    assert result.get("ui", "color") == "red"


def test_all_sections():
    assert overlay(BASE, USER).names() == ["server", "Ui"]
