from geoplan.grid import GridIndex
from geoplan.points import Point


def test_west_of_zero():
    assert GridIndex(1).cell_of(Point(0.5, -0.5)) == (0, -1)


def test_south_of_zero():
    assert GridIndex(0.5).cell_of(Point(-0.6, 0.2)) == (-2, 0)


def test_occupied():
    grid = GridIndex(1)
    grid.insert("a", Point(0.5, 0.5))
    grid.insert("b", Point(-0.5, 0.5))
    assert grid.occupied() == [(-1, 0), (0, 0)]


def test_positive_cells():
    assert GridIndex(0.5).cell_of(Point(1.2, 0.4)) == (2, 0)


def test_moved_item():
    grid = GridIndex(1)
    grid.insert("a", Point(0.5, 0.5))
    grid.insert("a", Point(5.5, 5.5))
    assert grid.occupied() == [(5, 5)]
