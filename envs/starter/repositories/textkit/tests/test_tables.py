import pytest

from textkit.errors import TextError
from textkit.tables import markdown, table

ROWS = [("tea", 3), ("milk", 12)]


def test_table():
    assert table(ROWS) == "tea    3\nmilk  12"


def test_header():
    lines = table(ROWS, header=("what", "cups")).splitlines()
    assert lines[1] == "----  ----"


def test_align():
    assert table(ROWS, align="><") == " tea  3\nmilk  12"


def test_align_too_short():
    with pytest.raises(TextError):
        table(ROWS, align="<")


def test_markdown():
    lines = markdown(ROWS, ("what", "cups")).splitlines()
    assert lines[1] == "| --- | ---: |"
    assert lines[3] == "| milk | 12 |"
