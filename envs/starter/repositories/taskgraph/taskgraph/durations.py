"""Durations such as ``1d 2h 30m``; a working day has 8 hours."""

import re

from taskgraph.errors import DurationError

MINUTES = {"w": 5 * 8 * 60, "d": 8 * 60, "h": 60, "m": 1}

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([wdhm])")


def parse_minutes(text):
    """Whole minutes of a duration; a bare number means minutes."""
    text = text.strip().lower()
    if text.isdigit():
        return int(text)
    total = 0.0
    position = 0
    for match in _PART.finditer(text):
        if text[position : match.start()].strip():
            raise DurationError(f"not a duration: {text!r}")
        total += float(match[1]) * MINUTES[match[2]]
        position = match.end()
    if position == 0 or text[position:].strip():
        raise DurationError(f"not a duration: {text!r}")
    return round(total)


def format_minutes(minutes):
    """The shortest text in whole units, such as ``1d 30m``."""
    if minutes < 0:
        return "-" + format_minutes(-minutes)
    parts = []
    for unit, size in MINUTES.items():
        count, minutes = divmod(minutes, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0m"
