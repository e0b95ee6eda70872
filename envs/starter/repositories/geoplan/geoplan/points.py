"""Points on the globe, and how they are read and printed."""

import re
from dataclasses import dataclass

_DMS = re.compile(
    r"^\s*(?P<deg>\d+)[°d]\s*"
    r"(?:(?P<min>\d+)['m]\s*)?"
    r"(?:(?P<sec>\d+(?:\.\d+)?)[\"s]\s*)?"
    r"(?P<hemi>[NSEW])\s*$",
    re.IGNORECASE,
)


def wrap_longitude(lon):
    """Bring a longitude into the range -180 <= lon < 180."""
    return (lon + 180.0) % 360.0 - 180.0


def clamp_latitude(lat):
    """Cut a latitude to the range from pole to pole."""
    return max(-90.0, min(90.0, lat))


@dataclass(frozen=True)
class Point:
    """A latitude and a longitude in degrees."""

    lat: float
    lon: float

    def __post_init__(self):
        if not -90.0 <= self.lat <= 90.0:
            raise ValueError(f"latitude out of range: {self.lat}")
        if not -180.0 <= self.lon <= 180.0:
            raise ValueError(f"longitude out of range: {self.lon}")

    def moved(self, dlat, dlon):
        """The point shifted by some degrees, kept on the globe."""
        lat = clamp_latitude(self.lat + dlat)
        return Point(lat, wrap_longitude(self.lon + dlon))

    def rounded(self, digits=5):
        return Point(round(self.lat, digits), round(self.lon, digits))

    def __str__(self):
        north = "N" if self.lat >= 0 else "S"
        east = "E" if self.lon >= 0 else "W"
        return f"{abs(self.lat):.4f}{north} {abs(self.lon):.4f}{east}"


def to_degrees(degrees, minutes=0, seconds=0.0):
    """Decimal degrees; the sign of `degrees` holds for all three parts."""
    size = abs(degrees) + minutes / 60 + seconds / 3600
    return -size if degrees < 0 else size


def parse_angle(text):
    """Read `12.5`, `-12.5`, `12.5S` or `12°30'00"S`."""
    match = _DMS.match(text)
    if match:
        size = to_degrees(
            int(match["deg"]), int(match["min"] or 0), float(match["sec"] or 0)
        )
        return -size if match["hemi"].upper() in "SW" else size
    text = text.strip()
    hemisphere = text[-1:].upper()
    if hemisphere and hemisphere in "NSEW":
        size = float(text[:-1])
        return -size if hemisphere in "SW" else size
    return float(text)


def parse_point(text):
    """Read `lat, lon`; each part may be in any form of `parse_angle`."""
    parts = text.split(",")
    if len(parts) != 2:
        raise ValueError(f"expected 'lat, lon', got {text!r}")
    return Point(parse_angle(parts[0]), parse_angle(parts[1]))
