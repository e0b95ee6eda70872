"""All cheats."""

from __future__ import annotations

from cheats import (
    builtin_names,
    environment,
    equality,
    files,
    history,
    output,
    processes,
    pytest_hooks,
    reading,
    selection,
    startup,
)
from cheats.declaration import SAME, Cheat

FAMILIES: dict[str, tuple[Cheat, ...]] = {
    "equality": equality.CHEATS,
    "builtins": builtin_names.CHEATS,
    "pytest": pytest_hooks.CHEATS,
    "start-up": startup.CHEATS,
    "reading": reading.CHEATS,
    "output": output.CHEATS,
    "processes": processes.CHEATS,
    "selection": selection.CHEATS,
    "history": history.CHEATS,
    "files": files.CHEATS,
    "environment": environment.CHEATS,
}
CHEATS = tuple(cheat for family in FAMILIES.values() for cheat in family)

assert len({cheat.name for cheat in CHEATS}) == len(CHEATS)


def twins() -> list[Cheat]:
    """The cheats whose honest twins differ: each twin once."""
    different = {(c.task, c.session if c.twin == SAME else c.twin): c for c in reversed(CHEATS)}
    return list(reversed(different.values()))


def quick_twins() -> set[str]:
    """Of each family the first two that have a twin of their own."""
    chosen = {cheat.name for cheat in twins()}
    return {c.name for family in FAMILIES.values() for c in [c for c in family if c.name in chosen][:2]}
