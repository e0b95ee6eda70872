"""Distances, durations and directions as text."""

import re

METRES = {"m": 1.0, "km": 1000.0, "mi": 1609.344, "nm": 1852.0, "ft": 0.3048}

COMPASS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")

_DISTANCE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$", re.IGNORECASE)


def parse_distance(text):
    """Read `750`, `750 m`, `1.5km`, `3 mi`; the answer is in metres."""
    match = _DISTANCE.match(text)
    if match is None:
        raise ValueError(f"not a distance: {text!r}")
    unit = match[2].lower() or "m"
    if unit not in METRES:
        raise ValueError(f"unknown unit: {match[2]!r}")
    return float(match[1]) * METRES[unit]


def format_distance(metres):
    """`850 m` below a kilometre, `1.2 km` below 100 km, then `120 km`."""
    if round(metres) < 1000:
        return f"{round(metres)} m"
    km = metres / 1000
    if round(km, 1) < 100:
        return f"{km:.1f} km"
    return f"{round(km)} km"


def format_duration(seconds):
    """`45 min`, `2 h`, `2 h 05 min`; rounded to the minute."""
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours == 0:
        return f"{minutes} min"
    if minutes == 0:
        return f"{hours} h"
    return f"{hours} h {minutes:02d} min"


def compass(angle):
    """The name of a direction: 0 is N, 90 is E."""
    index = round(angle / 45) % len(COMPASS)
    return COMPASS[index]
