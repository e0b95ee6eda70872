import pytest

from geoplan.distance import bearing, destination, distance
from geoplan.points import Point


def test_one_degree():
    assert distance(Point(0, 0), Point(1, 0)) == pytest.approx(111195, abs=1)


def test_bearing_east():
    assert bearing(Point(0, 0), Point(0, 1)) == pytest.approx(90)


def test_there():
    end = destination(Point(0, 0), 90, 111195.08)
    assert end.lon == pytest.approx(1, abs=1e-4)
