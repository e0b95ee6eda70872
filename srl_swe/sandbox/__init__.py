"""Where commands run: the `Sandbox` protocol and its backends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from srl_swe.errors import ConfigError
from srl_swe.sandbox.protocol import Sandbox, SandboxLimits

if TYPE_CHECKING:
    import docker

__all__ = ["Sandbox", "SandboxLimits", "open_sandbox", "remove_snapshot", "sweep"]


def open_sandbox(
    image: str,
    *,
    backend: str = "docker",
    workdir: str = "/testbed",
    limits: SandboxLimits | None = None,
    user: str = "agent",
    labels: Mapping[str, str] | None = None,
) -> Sandbox:
    """Open a sandbox on an image or on a snapshot.

    Args:
        image: An image reference, or what `Sandbox.snapshot` returned.
        backend: ``docker``.
        workdir: Where the shell begins; a snapshot has its own.
        limits: What it may use.
        user: Who the commands run as.
        labels: Put on the container, for the caller's own bookkeeping.

    Raises:
        ConfigError: there is no such backend.
        EngineUnavailableError: no engine answers.
        SandboxError: it could not be opened; nothing is left behind.
    """
    if backend != "docker":
        raise ConfigError(f"backend: expected 'docker', got {backend!r}")
    from srl_swe.sandbox.docker import DockerSandbox

    return DockerSandbox(
        image, workdir=workdir, limits=limits or SandboxLimits(), user=user, labels=dict(labels) if labels else None
    )


def remove_snapshot(image: str, *, backend: str = "docker") -> None:
    """Forget a snapshot. One that is gone already is no error."""
    if backend != "docker":
        raise ConfigError(f"backend: expected 'docker', got {backend!r}")
    from srl_swe.sandbox.docker import remove_image

    remove_image(image)


def sweep(client: docker.DockerClient | None = None) -> int:
    """Remove what killed processes left behind; see `srl_swe.sandbox.leftovers.sweep`."""
    from srl_swe.sandbox.leftovers import sweep as sweep_docker

    return sweep_docker(client)
