"""Finds the container engine: anything that answers the Docker API, Podman included."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import docker
import requests
from docker.transport import UnixHTTPAdapter

from srl_swe.errors import EngineUnavailableError

PRIVATE_SOCKET = "unix:///run/srl-swe/docker.sock"
"""Where ``docker/engine.sh`` puts the private engine's socket."""

PRIVATE_PODMAN_SOCKET = "unix:///run/srl-swe/podman.sock"
"""Where ``docker/podman.sh`` puts the private Podman's socket."""

_CONNECTIONS = 64
"""Idle connections that are kept for an engine."""
REQUEST_TIMEOUT_S = 600
"""Importing the base image is the longest single request."""


EngineKind = Literal["docker", "podman"]


def candidates(kind: EngineKind = "docker") -> list[str]:
    """Return the addresses that `connect` tries, first to last. The order is the one of ``docker/engine.sh``."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    podman = ["unix:///run/podman/podman.sock", f"unix://{runtime}/podman/podman.sock" if runtime else None]
    if kind == "podman":
        found = [os.environ.get("CONTAINER_HOST"), PRIVATE_PODMAN_SOCKET, *podman]
    else:
        found = [os.environ.get("DOCKER_HOST"), PRIVATE_SOCKET, "unix:///var/run/docker.sock"]
        found += [f"unix://{runtime}/docker.sock" if runtime else None]
        found += [f"unix://{Path.home()}/.docker/run/docker.sock", *podman]
    return list(dict.fromkeys(address for address in found if address))


def connect(kind: EngineKind = "docker") -> docker.DockerClient:
    """Return a client of the first engine that answers. The caller closes it.

    Args:
        kind: ``docker``: any engine that speaks the Docker API, Podman where there is no other; ``podman``: Podman.

    Raises:
        EngineUnavailableError: none answers; the message says what was tried.
    """
    tried: list[str] = []
    for address in candidates(kind):
        socket = address.removeprefix("unix://")
        if socket != address and not Path(socket).exists():
            tried.append(f"  {address}: not there")
            continue
        try:
            return _open(address)
        except (docker.errors.DockerException, requests.RequestException, OSError, ValueError) as error:
            tried.append(f"  {address}: {_reason(error)}")
    remedy = "docker/engine.sh start (or start Docker or Podman)"
    if kind == "podman":
        remedy = "docker/podman.sh start (or podman system service)"
    raise EngineUnavailableError(f"no container engine answers; run {remedy}. Tried:\n" + "\n".join(tried))


class _OnePool(UnixHTTPAdapter):
    """One pool of connections for an engine. The SDK's own has one for each URL, and drops those of old ones."""

    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:  # noqa: ARG002
        return super().get_connection("engine", proxies)


def _open(address: str) -> docker.DockerClient:
    """Connect to one address; a client that does not answer is closed again."""
    if address == os.environ.get("DOCKER_HOST"):
        client = docker.from_env(timeout=REQUEST_TIMEOUT_S)  # reads the TLS variables too
    else:
        client = docker.DockerClient(base_url=address, timeout=REQUEST_TIMEOUT_S)
    if address.startswith("unix://"):
        adapter = _OnePool(f"http+{address}", REQUEST_TIMEOUT_S, max_pool_size=_CONNECTIONS)
        api: Any = client.api
        api._custom_adapter = adapter
        api.mount("http+docker://", adapter)
    try:
        client.ping()
    except BaseException:
        client.close()
        raise
    return client


def _reason(error: Exception) -> str:
    """Return the innermost cause in one line: the outer ones only repeat it."""
    while (inner := error.__cause__ or error.__context__) is not None and isinstance(inner, Exception):
        error = inner
    return " ".join(str(error).split())[:200] or type(error).__name__
