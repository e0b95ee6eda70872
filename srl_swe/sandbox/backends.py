"""Finds a backend by its name: our own, and those that other packages name in ``srl_swe.sandboxes``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.metadata import entry_points

from srl_swe.errors import ConfigError
from srl_swe.sandbox.protocol import Backend

ENTRY_POINTS = "srl_swe.sandboxes"


def _docker(variant: str) -> Backend:
    from srl_swe.sandbox.docker import DockerBackend

    return DockerBackend(variant)


def _podman(variant: str) -> Backend:
    from srl_swe.sandbox.docker import DockerBackend

    return DockerBackend(variant, engine="podman")


def _bubblewrap(variant: str) -> Backend:
    from srl_swe.sandbox.bubblewrap import BubblewrapBackend

    return BubblewrapBackend(variant)


_OWN: dict[str, Callable[[str], Backend]] = {"docker": _docker, "podman": _podman, "bubblewrap": _bubblewrap}
_lock = threading.RLock()  # a third party's factory may ask for one of ours
_made: dict[str, Backend] = {}


def backend_names() -> list[str]:
    """Return the names that `get_backend` knows, ours first."""
    return [*_OWN, *sorted({point.name for point in entry_points(group=ENTRY_POINTS)} - set(_OWN))]


def get_backend(name: str) -> Backend:
    """Return a backend, the same one each time.

    Args:
        name: ``docker``, ``podman``, ``bubblewrap``, or what an entry point is called; after a colon, what the backend
            itself understands (``docker:crun``).

    Raises:
        ConfigError: there is no such backend.
    """
    with _lock:
        if name not in _made:
            kind, _, variant = name.partition(":")
            _made[name] = _factory(kind)(variant)
        return _made[name]


def _factory(kind: str) -> Callable[[str], Backend]:
    if kind in _OWN:
        return _OWN[kind]
    for point in entry_points(group=ENTRY_POINTS, name=kind):
        try:
            factory: Callable[[str], Backend] = point.load()
        except Exception as error:
            raise ConfigError(f"backend: {kind!r} ({point.value}) cannot be loaded: {error}") from error
        return factory
    raise ConfigError(f"backend: expected one of {', '.join(backend_names())}, not {kind!r}")
