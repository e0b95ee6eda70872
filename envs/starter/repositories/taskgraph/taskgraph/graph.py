"""Tasks and what they depend on."""

from dataclasses import dataclass, field

from taskgraph.errors import GraphError


@dataclass
class Task:
    """A piece of work that takes some minutes; higher priority goes first."""

    name: str
    minutes: int = 0
    priority: int = 0
    tags: set = field(default_factory=set)


class Graph:
    """A set of tasks, each with the tasks that must be done before it."""

    def __init__(self):
        self._tasks = {}
        self._needs = {}

    def __contains__(self, name):
        return name in self._tasks

    def __len__(self):
        return len(self._tasks)

    def __iter__(self):
        return iter(self._tasks)

    def add(self, name, minutes=0, after=(), priority=0, tags=()):
        """Add a task; the tasks in `after` may be added later."""
        if name in self._tasks:
            raise GraphError(f"task already there: {name}")
        task = Task(name, minutes, priority, set(tags))
        self._tasks[name] = task
        self._needs[name] = set(after)
        return task

    def task(self, name):
        try:
            return self._tasks[name]
        except KeyError:
            raise GraphError(f"no such task: {name}") from None

    def depend(self, name, *others):
        """Let `name` wait for the others."""
        self.task(name)
        self._needs[name].update(others)

    def remove(self, name):
        """Take a task out; those that waited for it wait for its needs."""
        self.task(name)
        del self._tasks[name]
        needs = self._needs.pop(name)
        for waiting in self._needs.values():
            if name in waiting:
                waiting.remove(name)
                waiting.update(needs)

    def needs(self, name):
        """The direct dependencies of a task, sorted."""
        self.task(name)
        return sorted(self._needs[name])

    def dependents(self, name):
        """The tasks that wait directly for `name`, sorted."""
        self.task(name)
        return sorted(n for n, needs in self._needs.items() if name in needs)

    def _reach(self, name, step):
        seen = set()
        waiting = step(name)
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting.extend(step(current))
        return seen

    def all_needs(self, name):
        """Everything that must be done before `name`, however far away."""
        return self._reach(name, self.needs)

    def all_dependents(self, name):
        """Everything that waits for `name`, however far away."""
        return self._reach(name, self.dependents)

    def roots(self):
        """Tasks that need nothing, in the order they were added."""
        return [name for name in self if not self._needs[name]]

    def missing(self):
        """Dependencies that no task was added for, sorted."""
        wanted = set().union(*self._needs.values())
        return sorted(wanted - set(self._tasks))

    def check(self):
        """Raise GraphError where a dependency has no task."""
        missing = self.missing()
        if missing:
            raise GraphError("no such task: " + ", ".join(missing))

    def copy(self):
        """A copy whose tasks and dependencies can be changed freely."""
        other = Graph()
        for name, task in self._tasks.items():
            needs = self._needs[name]
            other.add(name, task.minutes, needs, task.priority, task.tags)
        return other

    def subgraph(self, names):
        """The named tasks and everything they need."""
        wanted = set(names)
        for name in names:
            wanted |= self.all_needs(name)
        other = self.copy()
        for name in self:
            if name not in wanted:
                other.remove(name)
        return other
