"""Removes what killed processes left behind: containers, and the images of their snapshots."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound

from srl_swe.sandbox.calls import shared_client
from srl_swe.sandbox.owners import KIND_LABEL, OWNER_LABEL, is_dead

if TYPE_CHECKING:
    import docker


def sweep(client: docker.DockerClient | None = None) -> int:
    """Remove the containers and snapshot images whose owner is a dead process of this host; return how many.

    Raises:
        EngineUnavailableError: no engine answers.
    """
    api = (client or shared_client()).api
    removed = 0
    for container in api.containers(all=True, filters={"label": OWNER_LABEL}):
        if is_dead((container.get("Labels") or {}).get(OWNER_LABEL, "")):
            # Another process may sweep at the same time.
            with contextlib.suppress(NotFound, APIError):
                api.remove_container(container["Id"], force=True, v=True)
                removed += 1
    for image in api.images(filters={"label": f"{KIND_LABEL}=snapshot"}):
        if is_dead((image.get("Labels") or {}).get(OWNER_LABEL, "")):
            with contextlib.suppress(NotFound, APIError):
                api.remove_image(image["Id"], force=True)
                removed += 1
    return removed
