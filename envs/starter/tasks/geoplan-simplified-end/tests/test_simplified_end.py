from geoplan.points import Point
from geoplan.routes import Route

POINTS = [Point(0, 0), Point(0, 1), Point(0, 1.001)]


def test_end_stays():
    assert Route(POINTS).simplified(500).points[-1] == POINTS[-1]


def test_huge_tolerance():
    assert list(Route(POINTS).simplified(1e7)) == [POINTS[0], POINTS[-1]]


def test_small_tolerance():
    assert list(Route(POINTS).simplified(50)) == POINTS


def test_middle_dropped():
    points = [Point(0, 0), Point(0, 0.001), Point(0, 1)]
    assert list(Route(points).simplified(500)) == [points[0], points[2]]


def test_short_route():
    route = Route(POINTS[:2], "way")
    assert list(route.simplified(1e7)) == POINTS[:2]
