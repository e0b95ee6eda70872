"""Builds the system under all images: by Dockerfile where a registry answers, by debootstrap where none does.

Where another engine of this machine has it, it is copied from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import docker
import requests

from srl_swe.errors import EngineUnavailableError, ImageBuildError
from srl_swe.sandbox import wheels
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.engine import EngineKind, connect
from srl_swe.sandbox.layers import changes_of, exists, tail

_log = logging.getLogger(__name__)

SYSTEM_FILES = ("Dockerfile", "debootstrap.sh", "packages.txt", "requirements.txt", "setup.sh")
PARENT = ("debian", "bookworm-slim")


def docker_folder() -> Path:
    """Return the folder with the Dockerfile and ``tools/``: the checkout's, or the installed package's copy."""
    places = (Path(__file__).parents[2] / "docker", Path(sysconfig.get_path("data")) / "share" / "srl_swe" / "docker")
    for place in places:
        if (place / "Dockerfile").is_file():
            return place
    raise ImageBuildError(f"the docker/ folder of the package is missing: looked in {' and '.join(map(str, places))}")


def tools() -> list[Path]:
    """Return the programs that every image has in ``/usr/local/bin``."""
    return sorted(path for path in (docker_folder() / "tools").iterdir() if path.is_file() and path.suffix != ".pyc")


def content_hash(*, with_tools: bool) -> str:
    """Return the hash of what the base image is made from; without tools, of the operating system alone."""
    folder = docker_folder()
    digest = hashlib.sha256()
    for path in [folder / name for name in SYSTEM_FILES] + (tools() if with_tools else []):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def build(client: docker.DockerClient, tag: str) -> None:
    """Build the operating system's image.

    Raises:
        ImageBuildError: neither way works; the message says why, for each.
    """
    if _copy_from_another_engine(client, tag):
        return None
    _log.info("building %s: this takes minutes, once", tag)
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix="base-") as scratch:
        context = Path(scratch) / "context"
        _write_context(client, context)
        failures = []
        for way in (_build_by_dockerfile, _build_by_debootstrap):
            try:
                return way(client, context, tag)
            except (docker.errors.DockerException, requests.RequestException, ImageBuildError) as error:
                failures.append(f"by {way.__name__.rpartition('_')[2]}: {error}")
    raise ImageBuildError("the base image cannot be built\n" + "\n".join(failures))


def copy_image(source: docker.DockerClient, target: docker.DockerClient, tag: str) -> None:
    """Copy an image from one engine to another, with its configuration, such as from Docker to Podman.

    Raises:
        ImageBuildError: it cannot be copied, or the source has none of that name.
    """
    api: Any = target.api
    try:
        with contextlib.closing(source.api.get_image(tag)) as content:
            for said in api.load_image(content) or ():
                if "error" in said:
                    raise ImageBuildError(f"{tag}: cannot be copied: {said['error']}")
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise ImageBuildError(f"{tag}: cannot be copied: {error}") from error
    if not exists(target, tag):
        raise ImageBuildError(f"{tag}: was copied, but the other engine does not have it")


def _copy_from_another_engine(client: docker.DockerClient, tag: str) -> bool:
    """Take an image from where it is already: seconds instead of minutes. Return whether it was there."""
    kinds: tuple[EngineKind, ...] = ("docker", "podman")
    for kind in kinds:
        try:
            with contextlib.closing(connect(kind)) as other:
                if exists(other, tag):
                    copy_image(other, client, tag)
                    return True
        except (docker.errors.DockerException, requests.RequestException, EngineUnavailableError, ImageBuildError):
            continue
    return False


def _write_context(client: docker.DockerClient, context: Path) -> None:
    """Copy what both ways need into one folder."""
    folder = docker_folder()
    (context / "wheels").mkdir(parents=True)
    for name in SYSTEM_FILES:
        shutil.copy(folder / name, context / name)
    lines = (folder / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line.strip() and not line.startswith("#")]
    for wheel in wheels.fetch(wanted, machine=client.info()["Architecture"]):
        shutil.copy(wheel, context / "wheels" / wheel.name)


def _build_by_dockerfile(client: docker.DockerClient, context: Path, tag: str) -> None:
    """Build as everyone does. The host's network, because the private engine has no other."""
    try:
        client.images.get(":".join(PARENT))
    except docker.errors.ImageNotFound:
        client.images.pull(PARENT[0], tag=PARENT[1])
    client.images.build(path=str(context), tag=tag, rm=True, forcerm=True, network_mode="host")


def _build_by_debootstrap(client: docker.DockerClient, context: Path, tag: str) -> None:
    """Make the system's files on the host, and import them."""
    tarball = context.parent / "system.tar"
    command = ["bash", *map(str, (context / "debootstrap.sh", context, cache_dir() / "debs", tarball))]
    made = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False
    )
    if made.returncode != 0:
        raise ImageBuildError(tail(made.stdout.decode(errors="replace")))
    repository, _, version = tag.rpartition(":")
    changes = changes_of((context / "Dockerfile").read_text().splitlines())
    client.api.import_image(src=str(tarball), repository=repository, tag=version, changes=changes)
