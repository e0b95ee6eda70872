"""What a check is, and how the modules beside this one name theirs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from srl_swe.sandbox.contract.bench import Bench

F = TypeVar("F", bound=Callable[..., None])

LIMIT_S = 60.0
"""Seconds that a check may take, where it names no other number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One promise, in one case."""

    group: str
    """What it is about."""
    name: str
    """What is promised, and in brackets the case."""
    run: Callable[[Bench], None]
    """Returns where the promise is kept; raises `CheckSkippedError` where that cannot be found out."""
    slow: bool
    """Whether it takes longer than a few seconds."""
    limit_s: float
    """Seconds that it may take."""

    @property
    def id(self) -> str:
        """Its group and name."""
        return f"{self.group}-{self.name}"


class Group:
    """Checks about one thing.

    Args:
        name: What they are about.
        watched: Whether another sandbox stands beside each of them, which must be unharmed in the end.
    """

    def __init__(self, name: str, *, watched: bool = False) -> None:
        self.name = name
        self.checks: list[Check] = []
        self._watched = watched

    def add(
        self, *, cases: Mapping[str, Any] | Collection[str] = (), slow: bool = False, limit_s: float = LIMIT_S
    ) -> Callable[[F], F]:
        """Make checks of a function that takes a `Bench`; with cases one for each, given as its second argument.

        Args:
            cases: Values by their name, or values that are their own names.
            slow: See `Check`.
            limit_s: See `Check`.
        """

        def named(function: F) -> F:
            values: Iterable[tuple[str, Any]] = (
                cases.items() if isinstance(cases, Mapping) else ((case, case) for case in cases)
            )
            runs: list[tuple[str, tuple[Any, ...]]] = [(f"[{name}]", (value,)) for name, value in values] or [("", ())]
            for suffix, arguments in runs:
                run = self._runner(function, arguments)
                name = f"{function.__name__}{suffix}"
                self.checks.append(Check(group=self.name, name=name, run=run, slow=slow, limit_s=limit_s))
            return function

        return named

    def _runner(self, function: Callable[..., None], arguments: tuple[Any, ...]) -> Callable[[Bench], None]:
        def run(bench: Bench) -> None:
            if self._watched:
                bench.begin_watch()
            function(bench, *arguments)
            if self._watched:
                bench.end_watch()

        return run
