import pytest

from geoplan.points import Point
from geoplan.routes import Route

POINTS = [Point(0, 0), Point(0, 1), Point(0, 2)]


def test_length():
    assert Route(POINTS).length == pytest.approx(222390, abs=1)


def test_reversed():
    assert list(Route(POINTS).reversed()) == POINTS[::-1]


def test_position():
    assert Route(POINTS).position_at(111195.08).lon == pytest.approx(1, abs=1e-4)


def test_closest():
    assert Route(POINTS).closest_index(Point(0.1, 1.1)) == 1
