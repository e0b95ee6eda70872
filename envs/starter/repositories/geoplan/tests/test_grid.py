from geoplan.grid import GridIndex
from geoplan.points import Point


def test_cell():
    assert GridIndex(1).cell_of(Point(2.5, 3.5)) == (2, 3)


def test_near_sorts():
    grid = GridIndex(1)
    grid.insert("far", Point(10, 10))
    grid.insert("b", Point(1.5, 1.9))
    grid.insert("a", Point(1.5, 1.5))
    assert grid.near(Point(1.5, 1.4)) == ["a", "b"]
