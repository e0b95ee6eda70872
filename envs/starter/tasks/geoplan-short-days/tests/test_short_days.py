import pytest

from geoplan.planner import split_days
from geoplan.points import Point
from geoplan.routes import Route

ROUTE = Route([Point(0, lon) for lon in range(7)])


def test_three_days():
    days = split_days(ROUTE, 250_000)
    assert [len(day) for day in days] == [3, 3, 3]


def test_two_long_days():
    days = split_days(ROUTE, 400_000)
    assert [len(day) for day in days] == [4, 4]


def test_one_day():
    days = split_days(ROUTE, 1_000_000)
    assert [list(day) for day in days] == [list(ROUTE)]


def test_day_for_each_leg():
    assert len(split_days(ROUTE, 1000)) == 6


def test_bad_limit():
    with pytest.raises(ValueError):
        split_days(ROUTE, 0)
