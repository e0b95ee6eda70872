"""Planning a trip: the order of its stops and its days."""

from geoplan.distance import distance
from geoplan.routes import Route


def order_stops(start, stops):
    """Visit the closest stop next, again and again."""
    left = list(stops)
    route = Route([start])
    here = start
    while left:
        nearest = min(left, key=lambda stop: distance(here, stop))
        left.remove(nearest)
        route.add(nearest)
        here = nearest
    return route


def improve(route, rounds=10):
    """Undo crossings: reverse a part wherever that makes the route shorter."""
    points = list(route)
    for _ in range(rounds):
        changed = False
        for i in range(1, len(points) - 1):
            for j in range(i + 1, len(points)):
                trial = points[:i] + points[i : j + 1][::-1] + points[j + 1 :]
                if Route(trial).length < Route(points).length - 1e-6:
                    points = trial
                    changed = True
        if not changed:
            break
    return Route(points, route.name)


def split_days(route, limit):
    """Cut a route into days of at most `limit` metres.

    A day starts where the one before ended. A leg longer than the limit
    is a day of its own.
    """
    if limit <= 0:
        raise ValueError("the limit must be positive")
    days = []
    day = Route(name=route.name)
    driven = 0.0
    for a, b in route.legs():
        step = distance(a, b)
        if len(day) > 0 and driven + step > limit:
            days.append(day)
            day = Route(name=route.name)
            driven = 0.0
        day.add(a)
        day.add(b)
        driven += step
    if len(day) > 0:
        days.append(day)
    return days


def travel_time(route, speed, stop_time=0.0):
    """Seconds for a route at `speed` metres a second.

    `stop_time` is spent at each stop between the start and the end.
    """
    if speed <= 0:
        raise ValueError("the speed must be positive")
    stops = max(0, len(route) - 2)
    return route.length / speed + stops * stop_time
