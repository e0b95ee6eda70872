"""Great-circle geometry on a sphere."""

import math

from geoplan.points import Point, wrap_longitude

EARTH_RADIUS = 6_371_008.8


def distance(a, b):
    """Metres between two points along the great circle."""
    lat1, lat2 = math.radians(a.lat), math.radians(b.lat)
    dlat = lat2 - lat1
    dlon = math.radians(b.lon - a.lon)
    h = math.sin(dlat / 2) ** 2
    h += math.cos(lat1) * math.cos(lat2) * math.sin(dlon / 2) ** 2
    return 2 * EARTH_RADIUS * math.asin(min(1.0, math.sqrt(h)))


def bearing(a, b):
    """The direction from a to b in degrees, 0 <= bearing < 360."""
    lat1, lat2 = math.radians(a.lat), math.radians(b.lat)
    dlon = math.radians(b.lon - a.lon)
    y = math.sin(dlon) * math.cos(lat2)
    x = math.cos(lat1) * math.sin(lat2)
    x -= math.sin(lat1) * math.cos(lat2) * math.cos(dlon)
    angle = math.degrees(math.atan2(y, x))
    return angle % 360.0


def destination(start, direction, metres):
    """The point reached after some metres in a direction."""
    angle = metres / EARTH_RADIUS
    theta = math.radians(direction)
    lat1, lon1 = math.radians(start.lat), math.radians(start.lon)
    sin_lat = math.sin(lat1) * math.cos(angle)
    sin_lat += math.cos(lat1) * math.sin(angle) * math.cos(theta)
    lat2 = math.asin(max(-1.0, min(1.0, sin_lat)))
    y = math.sin(theta) * math.sin(angle) * math.cos(lat1)
    x = math.cos(angle) - math.sin(lat1) * math.sin(lat2)
    lon2 = lon1 + math.atan2(y, x)
    return Point(math.degrees(lat2), wrap_longitude(math.degrees(lon2)))


def interpolate(a, b, fraction):
    """A point on the way from a to b; good enough for short legs."""
    dlon = wrap_longitude(b.lon - a.lon)
    lat = a.lat + (b.lat - a.lat) * fraction
    return Point(lat, wrap_longitude(a.lon + dlon * fraction))
