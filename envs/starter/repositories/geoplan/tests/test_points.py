import pytest

from geoplan.points import Point, parse_point, wrap_longitude


def test_parse_decimal():
    assert parse_point("48.2, 16.37") == Point(48.2, 16.37)


def test_parse_hemispheres():
    assert parse_point("33.9S, 151.2E") == Point(-33.9, 151.2)


def test_out_of_range():
    with pytest.raises(ValueError):
        Point(91, 0)


def test_wrap():
    assert wrap_longitude(190) == -170
