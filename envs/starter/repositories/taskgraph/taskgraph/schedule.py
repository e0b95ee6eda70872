"""When each task can start, and who does it."""

from dataclasses import dataclass

from taskgraph.errors import GraphError
from taskgraph.order import topological_order


@dataclass(frozen=True)
class Slot:
    """One task on the time line of one worker, in minutes from the start."""

    task: str
    worker: int
    start: int
    end: int


@dataclass(frozen=True)
class Schedule:
    slots: tuple

    @property
    def makespan(self):
        """Minutes until the last task ends."""
        return max((slot.end for slot in self.slots), default=0)

    def slot(self, task):
        for slot in self.slots:
            if slot.task == task:
                return slot
        raise GraphError(f"not in the schedule: {task}")

    def worker(self, number):
        """The slots of one worker, by start."""
        mine = [slot for slot in self.slots if slot.worker == number]
        return sorted(mine, key=lambda slot: slot.start)


def earliest_ends(graph):
    """The minute at which each task can end at the earliest."""
    ends = {}
    for name in topological_order(graph):
        start = max((ends[need] for need in graph.needs(name)), default=0)
        ends[name] = start + graph.task(name).minutes
    return ends


def slack(graph):
    """By how many minutes each task may be late without harm."""
    ends = earliest_ends(graph)
    total = max(ends.values(), default=0)
    latest = {}
    for name in reversed(topological_order(graph)):
        starts = [
            latest[other] - graph.task(other).minutes
            for other in graph.dependents(name)
        ]
        latest[name] = min(starts, default=total)
    return {name: latest[name] - ends[name] for name in graph}


def critical_path(graph):
    """The longest chain of tasks, first task first."""
    ends = earliest_ends(graph)
    if not ends:
        return []
    path = [max(sorted(ends), key=ends.get)]
    while True:
        needs = graph.needs(path[-1])
        if not needs:
            return path[::-1]
        path.append(max(needs, key=ends.get))


def plan_schedule(graph, workers=1):
    """Give each task, in order, to the worker who can start it first."""
    if workers < 1:
        raise GraphError("at least one worker is needed")
    free = [0] * workers
    ends = {}
    slots = []
    for name in topological_order(graph):
        ready = max((ends[need] for need in graph.needs(name)), default=0)
        worker = min(range(workers), key=lambda w: max(free[w], ready))
        start = max(free[worker], ready)
        end = start + graph.task(name).minutes
        free[worker] = ends[name] = end
        slots.append(Slot(name, worker, start, end))
    return Schedule(tuple(slots))
