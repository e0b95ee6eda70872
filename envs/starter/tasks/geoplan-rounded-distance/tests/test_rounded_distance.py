from geoplan.units import format_distance


def test_nearly_a_kilometre():
    assert format_distance(999.7) == "1.0 km"


def test_nearly_hundred():
    assert format_distance(99960) == "100 km"


def test_below():
    assert format_distance(999.2) == "999 m"
    assert format_distance(99940) == "99.9 km"


def test_exact():
    assert format_distance(1000) == "1.0 km"
    assert format_distance(100000) == "100 km"
