"""Calls to the engine: the process's own client, and the engine's failures as ours."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from srl_swe.errors import SandboxError, SandboxLostError
from srl_swe.sandbox.engine import connect
from srl_swe.sandbox.owners import this_process

_lock = threading.Lock()
_client: docker.DockerClient | None = None
_client_of = ""


def shared_client() -> docker.DockerClient:
    """The process's own client, made on first use and again after a fork."""
    global _client, _client_of
    with _lock:
        if _client is None or _client_of != this_process():
            _client, _client_of = connect(), this_process()
        return _client


def close_client() -> None:
    """Close the process's own client, if there is one."""
    global _client
    with _lock:
        client, _client = _client, None
        if client is not None and _client_of == this_process():
            client.close()


@contextlib.contextmanager
def talking() -> Iterator[None]:
    """Turn the engine's failures into ours; what a caller tells apart itself passes."""
    try:
        yield
    except ImageNotFound:
        raise
    except NotFound as error:
        text = str(error).lower()
        if ("container" in text or "exec instance" in text) and "could not find the file" not in text:
            raise SandboxLostError(f"the container is gone: {reason(error)}") from error
        raise
    except (APIError, DockerException) as error:
        if "is not running" in str(error):
            raise SandboxLostError(f"the container has ended: {reason(error)}") from error
        raise SandboxError(f"the engine refused: {reason(error)}") from error
    except (requests.RequestException, OSError) as error:
        raise SandboxLostError(f"the engine does not answer: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return what the engine said, in one line."""
    explanation = getattr(error, "explanation", None)
    return " ".join(str(explanation or error).split())[:300]
