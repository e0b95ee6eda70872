"""Routes: points in the order in which they are visited."""

from geoplan.boxes import Box
from geoplan.distance import distance, interpolate


class Route:
    """An ordered list of points with a name."""

    def __init__(self, points=(), name=""):
        self.points = list(points)
        self.name = name

    def __len__(self):
        return len(self.points)

    def __iter__(self):
        return iter(self.points)

    def add(self, point):
        """Put a point at the end; the same point twice in a row is left out."""
        if self.points and self.points[-1] == point:
            return
        self.points.append(point)

    def legs(self):
        """Pairs of neighbouring points."""
        return list(zip(self.points, self.points[1:]))

    @property
    def length(self):
        """Metres from the first to the last point."""
        return sum(distance(a, b) for a, b in self.legs())

    @property
    def is_closed(self):
        return len(self.points) > 2 and self.points[0] == self.points[-1]

    def box(self):
        return Box.around(self.points)

    def copy(self, name=None):
        """A route of its own with the same points."""
        return Route(self.points, self.name if name is None else name)

    def reversed(self):
        return Route(self.points[::-1], self.name)

    def joined(self, other):
        """This route and then the other one."""
        route = self.copy()
        for point in other:
            route.add(point)
        return route

    def position_at(self, metres):
        """The point after some metres along the route."""
        if not self.points:
            raise ValueError("the route is empty")
        left = max(0.0, metres)
        for a, b in self.legs():
            step = distance(a, b)
            if step > 0 and left <= step:
                return interpolate(a, b, left / step)
            left -= step
        return self.points[-1]

    def simplified(self, tolerance):
        """Leave out points closer than `tolerance` metres to the last kept.

        The first and the last point always stay.
        """
        if len(self.points) < 3:
            return self.copy()
        kept = [self.points[0]]
        for point in self.points[1:-1]:
            if distance(kept[-1], point) >= tolerance:
                kept.append(point)
        kept.append(self.points[-1])
        return Route(kept, self.name)

    def closest_index(self, target):
        """The index of the point that is nearest to the target."""
        if not self.points:
            raise ValueError("the route is empty")
        indices = range(len(self.points))
        return min(indices, key=lambda i: distance(self.points[i], target))
