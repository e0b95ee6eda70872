"""Tasks that depend on each other: order them, schedule them, run them."""

from taskgraph.durations import format_minutes, parse_minutes
from taskgraph.errors import CycleError, GraphError
from taskgraph.graph import Graph, Task
from taskgraph.order import find_cycle, levels, topological_order
from taskgraph.plans import dump_plan, load_plan
from taskgraph.runner import Runner
from taskgraph.schedule import critical_path, plan_schedule, slack

__all__ = [
    "CycleError",
    "Graph",
    "GraphError",
    "Runner",
    "Task",
    "critical_path",
    "dump_plan",
    "find_cycle",
    "format_minutes",
    "levels",
    "load_plan",
    "parse_minutes",
    "plan_schedule",
    "slack",
    "topological_order",
]
