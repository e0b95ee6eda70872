"""Rectangles of latitudes and longitudes."""

from dataclasses import dataclass

from geoplan.points import Point, clamp_latitude


@dataclass(frozen=True)
class Box:
    """A box; its borders belong to it. It never crosses the date line."""

    south: float
    west: float
    north: float
    east: float

    def __post_init__(self):
        if self.south > self.north or self.west > self.east:
            raise ValueError("box corners are in the wrong order")

    @classmethod
    def around(cls, points):
        """The smallest box that holds all points."""
        points = list(points)
        if not points:
            raise ValueError("no points, no box")
        lats = [point.lat for point in points]
        lons = [point.lon for point in points]
        return cls(min(lats), min(lons), max(lats), max(lons))

    @property
    def height(self):
        return self.north - self.south

    @property
    def width(self):
        return self.east - self.west

    @property
    def center(self):
        lat = (self.south + self.north) / 2
        lon = (self.west + self.east) / 2
        return Point(lat, lon)

    def contains(self, point):
        if not self.south <= point.lat <= self.north:
            return False
        return self.west <= point.lon <= self.east

    def overlaps(self, other):
        """Whether the boxes share a point, a border counts."""
        if self.east < other.west or other.east < self.west:
            return False
        return self.south <= other.north and other.south <= self.north

    def union(self, other):
        """The smallest box that holds both."""
        return Box(
            min(self.south, other.south),
            min(self.west, other.west),
            max(self.north, other.north),
            max(self.east, other.east),
        )

    def intersection(self, other):
        """The part both boxes share, None where there is none."""
        if not self.overlaps(other):
            return None
        return Box(
            max(self.south, other.south),
            max(self.west, other.west),
            min(self.north, other.north),
            min(self.east, other.east),
        )

    def expanded(self, degrees):
        """The box with a margin on each side, kept on the globe."""
        return Box(
            clamp_latitude(self.south - degrees),
            max(-180.0, self.west - degrees),
            clamp_latitude(self.north + degrees),
            min(180.0, self.east + degrees),
        )
