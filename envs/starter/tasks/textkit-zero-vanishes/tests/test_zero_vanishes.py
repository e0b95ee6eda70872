from textkit.filters import default
from textkit.templates import render


def test_zero_is_shown():
    assert render("{{ count }} mails", {"count": 0}) == "0 mails"


def test_zero_needs_no_default():
    assert render("{{ count | default 'many' }}", {"count": 0}) == "0"


def test_false_needs_no_default():
    assert default(False, "yes") is False


def test_default_where_missing():
    assert render("{{ count | default 'many' }}", {}) == "many"


def test_default_where_empty():
    assert default("", "x") == default(None, "x") == "x"


def test_missing_name_is_empty():
    assert render("[{{ count }}]", {"count": None}) == "[]"
