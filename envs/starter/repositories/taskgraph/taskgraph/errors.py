"""Errors raised by this package."""


class GraphError(Exception):
    """A task is unknown or added twice, or a plan is not usable."""


class CycleError(GraphError):
    """Tasks wait for each other in a circle."""

    def __init__(self, cycle):
        self.cycle = list(cycle)
        super().__init__("cycle: " + " -> ".join(self.cycle))


class DurationError(ValueError):
    """A duration cannot be read."""


class PlanError(GraphError):
    """A line of a plan cannot be read."""

    def __init__(self, line, reason):
        self.line = line
        super().__init__(f"line {line}: {reason}")
