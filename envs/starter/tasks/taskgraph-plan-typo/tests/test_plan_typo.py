import pytest

from taskgraph import load_plan, parse_minutes
from taskgraph.errors import DurationError, PlanError


def test_text_behind_a_duration():
    with pytest.raises(DurationError):
        parse_minutes("2h oops")


def test_typo_is_noticed():
    with pytest.raises(PlanError, match="line 2"):
        load_plan("design: 1h\nbuild: 2h aftr design")


def test_bad_duration_names_line():
    with pytest.raises(PlanError, match="line 3"):
        load_plan("; plan\na: 1h\nb: soon")


def test_text_before_a_duration():
    with pytest.raises(DurationError):
        parse_minutes("oops 2h")


def test_spaces_are_fine():
    assert parse_minutes(" 1d  2 h ") == 600


def test_good_plan():
    graph = load_plan("a: 1h\nb: 2h after a")
    assert graph.needs("b") == ["a"]
