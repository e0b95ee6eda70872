import pytest

from taskgraph.durations import format_minutes, parse_minutes
from taskgraph.errors import DurationError


@pytest.mark.parametrize(
    "text, minutes", [("45", 45), ("2h", 120), ("1d 2h 30m", 630), ("1W", 2400)]
)
def test_parse(text, minutes):
    assert parse_minutes(text) == minutes


@pytest.mark.parametrize("text", ["", "soon", "2x", "h"])
def test_parse_rejects(text):
    with pytest.raises(DurationError):
        parse_minutes(text)


def test_format():
    assert format_minutes(510) == "1d 30m"
    assert format_minutes(0) == "0m"
