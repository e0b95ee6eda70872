"""Running the tasks of a graph."""

from taskgraph.errors import GraphError
from taskgraph.order import topological_order

DONE, FAILED, SKIPPED = "done", "failed", "skipped"


class Runner:
    """Runs one function for each task, in topological order.

    A task is tried `retries` times more when it raises. Tasks that need a
    failed one are skipped.
    """

    def __init__(self, graph, retries=0):
        if retries < 0:
            raise GraphError("retries must not be negative")
        self.graph = graph
        self.retries = retries
        self._actions = {}

    def action(self, name, function):
        """Say what to do for a task; tasks without an action just pass."""
        self.graph.task(name)
        self._actions[name] = function

    def _attempt(self, name):
        """The error of the last attempt, or None when one went well."""
        function = self._actions.get(name)
        if function is None:
            return None
        error = None
        for _ in range(self.retries + 1):
            try:
                function()
            except Exception as caught:
                error = caught
            else:
                return None
        return error

    def run(self, on_event=None):
        """Run everything; returns (states, errors), both by task name."""
        states = {}
        errors = {}
        for name in topological_order(self.graph):
            needs = self.graph.needs(name)
            if any(states[need] != DONE for need in needs):
                states[name] = SKIPPED
            else:
                error = self._attempt(name)
                states[name] = DONE if error is None else FAILED
                if error is not None:
                    errors[name] = error
            if on_event is not None:
                on_event(name, states[name])
        return states, errors


def summary(states):
    """``3 done, 1 failed``: the states that occur, and how often."""
    counts = {state: 0 for state in (DONE, FAILED, SKIPPED)}
    for state in states.values():
        counts[state] += 1
    shown = [f"{count} {state}" for state, count in counts.items() if count]
    return ", ".join(shown) or "nothing to do"
