import pytest

from textkit.errors import TemplateError
from textkit.filters import FilterSet
from textkit.templates import render


def test_unknown_filter():
    with pytest.raises(TemplateError):
        FilterSet().apply("missing", "x")


def test_added_filter_works():
    filters = FilterSet({"twice": lambda text: text * 2})
    assert render("{{ a | twice }}", {"a": "x"}, filters) == "xx"


def test_added_filter_stays_in_its_set():
    FilterSet().add("shout", str.upper)
    with pytest.raises(TemplateError):
        FilterSet().apply("shout", "x")


def test_extra_filters_stay_in_their_set():
    FilterSet({"louder": str.upper})
    with pytest.raises(TemplateError):
        render("{{ a | louder }}", {"a": "x"})


def test_builtin_is_not_replaced():
    FilterSet().add("strip", lambda text: "gone")
    assert FilterSet().apply("strip", " x ") == "x"
