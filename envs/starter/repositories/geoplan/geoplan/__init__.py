"""Points, distances, boxes, routes and trips."""

from geoplan.boxes import Box
from geoplan.distance import bearing, destination, distance
from geoplan.grid import GridIndex
from geoplan.planner import order_stops, split_days
from geoplan.points import Point, parse_point
from geoplan.routes import Route

__all__ = [
    "Box",
    "GridIndex",
    "Point",
    "Route",
    "bearing",
    "destination",
    "distance",
    "order_stops",
    "parse_point",
    "split_days",
]
