"""Makes an image from another one: files are put into a container, a script runs in it, the container is committed.

With ``docker build``, what is copied in (wheels, for one) would stay in a layer of the image.
"""

from __future__ import annotations

import contextlib
import json
import re
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import docker
import requests

from srl_swe.errors import ImageBuildError
from srl_swe.sandbox.owners import KIND_LABEL, OWNER_LABEL, this_process

AGENT_ID = 1000
"""User and group id of ``agent`` in every image."""
MODIFIED = 1577836800
"""Files are dated 2020-01-01, so that equal content makes an equal image."""
SCRIPT_TIMEOUT_S = 900
TAIL_LINES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One file, folder or symbolic link for a container."""

    target: str
    """Where it goes, relative to the root."""
    source: Path
    """Where it is on the host."""
    owner: int = 0
    """User and group id."""
    executable: bool | None = None
    """``None``: as the source is."""


def add_layer(
    client: docker.DockerClient,
    parent: str,
    tag: str,
    *,
    entries: Iterable[Entry] = (),
    script: str = "true",
    labels: Mapping[str, str],
    result_label: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Put the entries into a container of the parent, run the script as root without a network, and tag the outcome.

    Args:
        result_label: a label that gets the last line of the script's output.
        environment: variables of the image; ``None``: the parent's.

    Raises:
        ImageBuildError: the script failed; the message ends with its output.
    """
    try:
        container = client.containers.create(
            parent,
            ["/bin/sh", "-euc", script],
            user="root",
            network_mode="none",
            labels={OWNER_LABEL: this_process(), KIND_LABEL: "build"},
        )
    except docker.errors.DockerException as error:
        raise ImageBuildError(f"{tag}: no container could be made: {error}") from error
    try:
        with tempfile.TemporaryFile() as archive:
            _write_archive(archive, entries)
            archive.seek(0)
            container.put_archive("/", archive)
        container.start()
        exit_code = container.wait(timeout=SCRIPT_TIMEOUT_S)["StatusCode"]
        lines = container.logs().decode(errors="replace").splitlines()
        if exit_code != 0:
            raise ImageBuildError(f"{tag}: exit code {exit_code}:\n" + "\n".join(lines[-TAIL_LINES:]))
        found = dict(labels)
        if result_label:
            if not lines:
                raise ImageBuildError(f"{tag}: the script printed nothing")
            found[result_label] = lines[-1].strip()
        repository, _, version = tag.rpartition(":")
        container.commit(repository, version, changes=_changes(found, environment or {}))
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise ImageBuildError(f"{tag}: {error}") from error
    finally:
        # If even this fails, the owner's label lets a later command find it.
        with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
            container.remove(force=True)


def _changes(labels: Mapping[str, str], environment: Mapping[str, str]) -> list[str]:
    """Return what a commit sets. The owner is emptied: an image has none, and its containers must not inherit one."""
    named = {OWNER_LABEL: ""} | dict(labels)
    return [
        "USER agent",
        "WORKDIR /testbed",
        'CMD ["/bin/bash"]',
        *(f"ENV {name}={json.dumps(value)}" for name, value in environment.items()),
        *(f"LABEL {name}={json.dumps(value)}" for name, value in named.items()),
    ]


def _write_archive(file: IO[bytes], entries: Iterable[Entry]) -> None:
    """Write the entries as a tar archive."""
    with tarfile.open(fileobj=file, mode="w") as archive:
        for entry in entries:
            member = archive.gettarinfo(str(entry.source), arcname=entry.target)
            # None: sockets and the like.  Hard links inside the tree would refer to names on the host.
            if member is None:
                continue
            if member.islnk():
                member.type = tarfile.REGTYPE
                member.linkname = ""
                member.size = entry.source.stat().st_size
            executable = bool(member.mode & 0o100) if entry.executable is None else entry.executable
            member.mode = 0o755 if member.isdir() or executable else 0o644
            member.uid = member.gid = entry.owner
            member.uname = member.gname = ""
            member.mtime = MODIFIED
            if member.isreg():
                with entry.source.open("rb") as content:
                    archive.addfile(member, content)
            else:
                archive.addfile(member)


def image_name(name: str) -> str:
    """Return a name in the form that image references allow."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "unnamed"


def exists(client: docker.DockerClient, tag: str) -> bool:
    """Whether the engine has an image."""
    try:
        client.images.get(tag)
    except docker.errors.ImageNotFound:
        return False
    return True


def tail(text: str) -> str:
    """Return the last lines of an output."""
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def changes_of(dockerfile: Sequence[str]) -> list[str]:
    """Return a Dockerfile's lines that set the image's configuration, in the form that an import takes."""
    return [line for line in dockerfile if line.split(" ", 1)[0] in ("ENV", "USER", "WORKDIR", "CMD")]
