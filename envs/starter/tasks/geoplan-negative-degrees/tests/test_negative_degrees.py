import pytest

from geoplan.points import parse_angle, to_degrees


def test_negative_minutes():
    assert to_degrees(-33, 30) == pytest.approx(-33.5)


def test_negative_seconds():
    assert to_degrees(-10, 0, 36) == pytest.approx(-10.01)


def test_positive():
    assert to_degrees(16, 15, 36) == pytest.approx(16.26)


def test_whole_negative():
    assert to_degrees(-12) == -12


def test_text_with_hemisphere():
    assert parse_angle("33d 30m S") == pytest.approx(-33.5)
