from geoplan.planner import order_stops, travel_time
from geoplan.points import Point
from geoplan.routes import Route


def test_order():
    stops = [Point(0, 3), Point(0, 1), Point(0, 2)]
    route = order_stops(Point(0, 0), stops)
    assert [p.lon for p in route] == [0, 1, 2, 3]


def test_travel_time():
    route = Route([Point(0, 0), Point(0, 1)])
    assert round(travel_time(route, 10)) == 11120
