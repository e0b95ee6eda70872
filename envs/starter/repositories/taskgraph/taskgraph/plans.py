"""Plans as text, one task a line.

``build: 1d after design, tools !2 #code`` is a task of one day with two
needs, priority 2 and one tag. Everything after the colon may be left out.
Lines that are blank or start with ``;`` are passed over.
"""

import re

from taskgraph.durations import format_minutes, parse_minutes
from taskgraph.errors import DurationError, GraphError, PlanError
from taskgraph.graph import Graph

_PRIORITY = re.compile(r"(?:^|\s)!(-?\d+)")
_TAG = re.compile(r"(?:^|\s)#(\w+)")
_AFTER = re.compile(r"(?:^|\s)after\s+(.*)")


def parse_line(line):
    """The name of a task, and the arguments to add it with."""
    name, _, rest = line.partition(":")
    name = name.strip()
    if not name:
        raise GraphError("a task needs a name")
    options = {"tags": _TAG.findall(rest)}
    rest = _TAG.sub("", rest)
    priority = _PRIORITY.search(rest)
    if priority:
        options["priority"] = int(priority[1])
        rest = _PRIORITY.sub("", rest)
    after = _AFTER.search(rest)
    if after:
        needs = [need.strip() for need in after[1].split(",")]
        options["after"] = [need for need in needs if need]
        rest = rest[: after.start()]
    if rest.strip():
        options["minutes"] = parse_minutes(rest)
    return name, options


def load_plan(text):
    """Read a plan; each need must be a task of the plan."""
    graph = Graph()
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith(";"):
            continue
        try:
            name, options = parse_line(line)
            graph.add(name, **options)
        except (DurationError, GraphError) as error:
            raise PlanError(number, str(error)) from error
    graph.check()
    return graph


def dump_plan(graph):
    """Write a graph in the form that `load_plan` reads."""
    lines = []
    for name in graph:
        task = graph.task(name)
        line = f"{name}: {format_minutes(task.minutes)}"
        needs = graph.needs(name)
        if needs:
            line += " after " + ", ".join(needs)
        if task.priority:
            line += f" !{task.priority}"
        for tag in sorted(task.tags):
            line += f" #{tag}"
        lines.append(line + "\n")
    return "".join(lines)
