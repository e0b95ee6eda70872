"""Removes what killed processes left on an engine: containers, images, volumes and networks that nobody owns."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound

from srl_swe.sandbox.owners import DEADLINE_LABEL, KIND_LABEL, LIFETIME_S, OWNER_LABEL, is_dead, this_process

if TYPE_CHECKING:
    import docker

LASTING_LABELS = {KIND_LABEL: "lasting-snapshot", OWNER_LABEL: "", DEADLINE_LABEL: ""}
"""On snapshots that nobody owns: what a container made of one has from its image is then no dead owner's either."""


def labels(kind: str) -> dict[str, str]:
    """Return what is put on everything that lives no longer than this process, such as ``sandbox`` or ``snapshot``."""
    deadline = str(int(time.time()) + LIFETIME_S)
    return {KIND_LABEL: kind, OWNER_LABEL: this_process(), DEADLINE_LABEL: deadline}


def is_left_over(found: dict[str, str] | None) -> bool:
    """Whether labels say that the owner is a dead process of this host, or one of another host that is long overdue."""
    owner, deadline = (found or {}).get(OWNER_LABEL, ""), (found or {}).get(DEADLINE_LABEL, "")
    if is_dead(owner):
        return True
    elsewhere = owner.split(":")[0] != this_process().split(":")[0]
    return bool(owner) and elsewhere and deadline.isdigit() and int(deadline) < time.time()


def sweep(client: docker.DockerClient) -> int:
    """Remove what `is_left_over` on an engine; return how many things.

    Containers go first: images, volumes and networks in use stay.
    """
    api: Any = client.api
    filters = {"label": OWNER_LABEL}
    removed = 0
    for container in api.containers(all=True, filters=filters):
        if is_left_over(container.get("Labels")):
            removed += _gone(api.remove_container, container["Id"], force=True, v=True)
    # The last made first: one that another stands on cannot go before it.
    for image in sorted(api.images(filters=filters), key=lambda found: -int(found["Created"])):
        if is_left_over(image.get("Labels")):
            removed += sum(_gone(api.remove_image, tag) for tag in image.get("RepoTags") or [image["Id"]])
    for volume in api.volumes(filters=filters).get("Volumes") or []:
        if is_left_over(volume.get("Labels")):
            removed += _gone(api.remove_volume, volume["Name"])
    for network in api.networks(filters=filters):
        if is_left_over(network.get("Labels")):
            removed += _gone(api.remove_network, network["Id"])
    return removed


def _gone(remove: Any, name: str, **options: Any) -> bool:
    """Remove one thing. Another process may sweep at the same time, or still use it."""
    with contextlib.suppress(NotFound, APIError):
        remove(name, **options)
        return True
    return False
