from geoplan.boxes import Box

LEFT = Box(0, 0, 2, 2)
RIGHT = Box(0, 2, 2, 4)


def test_side_by_side():
    assert LEFT.overlaps(RIGHT)
    assert RIGHT.overlaps(LEFT)


def test_shared_border():
    assert LEFT.intersection(RIGHT) == Box(0, 2, 2, 2)


def test_on_top():
    assert LEFT.overlaps(Box(2, 0, 3, 2))


def test_apart():
    assert not LEFT.overlaps(Box(0, 2.1, 2, 4))
    assert LEFT.intersection(Box(5, 0, 6, 2)) is None
