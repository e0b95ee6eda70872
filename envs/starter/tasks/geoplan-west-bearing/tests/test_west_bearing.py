import pytest

from geoplan.distance import bearing
from geoplan.points import Point
from geoplan.units import compass

HERE = Point(0, 0)


def test_bearing_west():
    assert bearing(HERE, Point(0, -1)) == pytest.approx(270)


def test_bearing_north_west():
    assert 300 < bearing(HERE, Point(1, -1)) < 330


def test_compass_near_north():
    assert compass(350) == "N"
    assert compass(360) == "N"


def test_bearing_south():
    assert bearing(HERE, Point(-1, 0)) == pytest.approx(180)


def test_compass_others():
    assert [compass(a) for a in (0, 44, 180, 300)] == ["N", "NE", "S", "NW"]
