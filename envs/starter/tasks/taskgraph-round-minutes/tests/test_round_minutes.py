import pytest

from taskgraph.durations import format_minutes, parse_minutes


def test_exact_minutes():
    assert parse_minutes("4.1h") == 246


def test_nearest_minute():
    assert parse_minutes("0.33h") == 20


def test_sum_is_rounded_once():
    assert parse_minutes("0.4m 0.4m") == 1


@pytest.fixture
def whole():
    return {"1.5h": 90, "0.5d": 240, "1w": 2400}


def test_whole_minutes(whole):
    assert {text: parse_minutes(text) for text in whole} == whole


def test_round_trip():
    assert parse_minutes(format_minutes(3045)) == 3045
