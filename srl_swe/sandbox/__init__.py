"""Where commands run: the `Sandbox` protocol and its backends."""

from __future__ import annotations

from typing import Any

from srl_swe.sandbox.backends import get_backend
from srl_swe.sandbox.protocol import Backend, Sandbox, SandboxLimits, SandboxSpec

__all__ = [
    "Backend",
    "Sandbox",
    "SandboxLimits",
    "SandboxSpec",
    "get_backend",
    "open_sandbox",
    "remove_snapshot",
    "sweep",
]


def open_sandbox(image: str, *, backend: str = "docker", **options: Any) -> Sandbox:
    """Open a sandbox on an image or on a snapshot.

    Args:
        image: An image reference, or what `Sandbox.snapshot` returned.
        backend: See `get_backend`.
        options: The other fields of `SandboxSpec`.

    Raises:
        ConfigError: there is no such backend.
        EngineUnavailableError: no engine answers.
        SandboxError: it could not be opened; nothing is left behind.
    """
    return get_backend(backend).open(SandboxSpec(image=image, **options))


def remove_snapshot(snapshot: str, *, backend: str = "docker") -> bool:
    """Forget a snapshot; return whether it is gone. One that an open sandbox stands on stays, for now."""
    return get_backend(backend).remove_snapshot(snapshot)


def sweep(backend: str = "docker") -> int:
    """Remove what killed processes left behind; return how many.

    Raises:
        EngineUnavailableError: no engine answers.
    """
    return get_backend(backend).sweep()
