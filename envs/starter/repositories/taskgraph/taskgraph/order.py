"""Orders in which the tasks of a graph can be done."""

import heapq

from taskgraph.errors import CycleError


def find_cycle(graph):
    """A list of tasks that ends where it starts, or None.

    ``["a", "b", "a"]`` means that a needs b and b needs a.
    """
    done = set()
    for start in graph:
        path = []
        on_path = set()
        stack = [(start, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                path.pop()
                on_path.discard(name)
                done.add(name)
                continue
            if name in on_path:
                return path[path.index(name) :] + [name]
            if name in done:
                continue
            path.append(name)
            on_path.add(name)
            stack.append((name, True))
            for need in reversed(graph.needs(name)):
                stack.append((need, False))
    return None


def _open_counts(graph):
    return {name: len(graph.needs(name)) for name in graph}


def topological_order(graph):
    """All tasks, each after its needs.

    Among the tasks that are ready, higher priority goes first, then name.
    """
    graph.check()
    left = _open_counts(graph)
    ready = []
    for name in graph:
        if left[name] == 0:
            heapq.heappush(ready, (-graph.task(name).priority, name))
    order = []
    while ready:
        _, name = heapq.heappop(ready)
        order.append(name)
        for other in graph.dependents(name):
            left[other] -= 1
            if left[other] == 0:
                heapq.heappush(ready, (-graph.task(other).priority, other))
    if len(order) < len(graph):
        raise CycleError(find_cycle(graph))
    return order


def levels(graph):
    """Groups of tasks that can be done side by side, first group first."""
    depth = {}
    for name in topological_order(graph):
        needs = graph.needs(name)
        depth[name] = max((depth[need] + 1 for need in needs), default=0)
    groups = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in sorted(depth):
        groups[depth[name]].append(name)
    return groups
