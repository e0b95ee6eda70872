from geoplan.boxes import Box
from geoplan.points import Point


def test_around():
    box = Box.around([Point(1, 2), Point(3, -4)])
    assert box == Box(1, -4, 3, 2)


def test_contains():
    assert Box(0, 0, 2, 2).contains(Point(1, 1))
    assert not Box(0, 0, 2, 2).contains(Point(3, 1))


def test_intersection():
    assert Box(0, 0, 2, 2).intersection(Box(1, 1, 3, 3)) == Box(1, 1, 2, 2)
