"""Calls to an engine: the process's own client, and the engine's failures as ours."""

from __future__ import annotations

import atexit
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from srl_swe.errors import SandboxError, SandboxLostError
from srl_swe.sandbox.engine import EngineKind, connect
from srl_swe.sandbox.owners import this_process

_lock = threading.Lock()
_clients: dict[tuple[str, EngineKind], docker.DockerClient] = {}


def shared_client(kind: EngineKind = "docker") -> docker.DockerClient:
    """The process's own client, made on first use and again after a fork; closed when the process ends.

    Raises:
        EngineUnavailableError: no engine answers.
    """
    with _lock:
        key = (this_process(), kind)
        if key not in _clients:
            _clients[key] = connect(kind)
        return _clients[key]


@atexit.register
def close_clients() -> None:
    """Close the process's own clients; they are made again where they are asked for."""
    with _lock:
        for key in [key for key in _clients if key[0] == this_process()]:
            _clients.pop(key).close()


def address(api: Any) -> str:
    """Return where a client's engine is, as in ``DOCKER_HOST``."""
    path = getattr(getattr(api, "_custom_adapter", None), "socket_path", None)
    return f"unix://{path}" if path else str(api.base_url)


@contextlib.contextmanager
def talking() -> Iterator[None]:
    """Turn the engine's failures into ours; what a caller tells apart itself passes."""
    try:
        yield
    except ImageNotFound:
        raise
    except NotFound as error:
        text = str(error).lower()
        if (
            any(gone in text for gone in ("container", "exec instance", "exec session"))
            and "could not find the file" not in text
        ):
            raise SandboxLostError(f"the container is gone: {reason(error)}") from error
        raise
    except (APIError, DockerException) as error:
        # Docker's words, and Podman's.
        if "is not running" in str(error) or "container state improper" in str(error):
            raise SandboxLostError(f"the container has ended: {reason(error)}") from error
        raise SandboxError(f"the engine refused: {reason(error)}") from error
    except (requests.RequestException, OSError) as error:
        raise SandboxLostError(f"the engine does not answer: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return what the engine said, in one line."""
    explanation = getattr(error, "explanation", None)
    return " ".join(str(explanation or error).split())[:300]
