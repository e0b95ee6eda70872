"""Builds images by content hash: the operating system, the base (with our programs), dependencies, and one per task.

::

    srl-swe/os:<hash>            Debian and Python: docker/Dockerfile, or docker/debootstrap.sh if no registry answers
    srl-swe/base:<hash>          + docker/tools as programs in /usr/local/bin
    srl-swe/deps:<hash>          + the requirements, shared by all tasks that have the same ones
    srl-swe/task-<name>:<hash>   + the repository in /testbed as one commit

Nothing but the first needs a network, and that only on the host: wheels are downloaded (or built) by the host's pip,
kept in the cache, and copied into a container without a network. An image whose tag exists is never built again.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import docker

from srl_swe.errors import ImageBuildError
from srl_swe.sandbox import system_image, wheels
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.layers import AGENT_ID, Entry, add_layer, exists, image_name
from srl_swe.sandbox.locks import file_lock
from srl_swe.sandbox.owners import KIND_LABEL

__all__ = ["BASE_COMMIT_LABEL", "ImageSpec", "base_commit", "base_image", "build_image", "dependencies_image"]

BASE_COMMIT_LABEL = "srl_swe.base_commit"
"""On a task image: the id of the one commit in ``/testbed``."""

LEFT_OUT = frozenset({".git", "__pycache__", ".pytest_cache", ".hg", ".svn"})
"""Names that are never copied from a repository."""


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """What a task's image holds."""

    repository: Path
    """The folder with the base state. It is copied; its ``.git`` is not."""
    requirements: tuple[str, ...] = ()
    """pip requirements, installed from wheels."""
    install: bool = False
    """Whether the repository itself is installed, editable, without its dependencies."""


def base_image(client: docker.DockerClient) -> str:
    """Return the tag of the base image, built if it is not there.

    Raises:
        ImageBuildError: it cannot be built; the message ends with the output of what failed.
    """
    tag = f"srl-swe/base:{system_image.content_hash(with_tools=True)}"
    if not exists(client, tag):
        with file_lock(cache_dir() / "base-image.lock"):
            if not exists(client, tag):
                system = f"srl-swe/os:{system_image.content_hash(with_tools=False)}"
                if not exists(client, system):
                    system_image.build(client, system)
                tools = [
                    Entry(target=f"usr/local/bin/{path.name}", source=path, executable=True)
                    for path in system_image.tools()
                ]
                add_layer(client, system, tag, entries=tools, labels={KIND_LABEL: "base-image"})
    return tag


def build_image(client: docker.DockerClient, spec: ImageSpec, *, name: str) -> str:
    """Return the tag of a task's image, built if it is not there.

    ``/testbed`` holds the repository as a git repository with one commit, all of it owned by the user ``agent``.

    Raises:
        ImageBuildError: it cannot be built; the message ends with the output of what failed.
    """
    base = base_image(client)
    entries = _repository_entries(spec.repository)
    if not entries:
        raise ImageBuildError(f"{spec.repository}: there is no repository, or it is empty")
    tag = f"srl-swe/task-{image_name(name)}:{_spec_hash(spec, base, entries)}"
    if exists(client, tag):
        return tag
    with file_lock(cache_dir() / "images.lock"):
        if not exists(client, tag):
            parent = _dependencies_image(client, base, spec.requirements)
            script = COMMIT_SCRIPT + _import_script(spec) + COMMIT_ID_SCRIPT
            labels = {KIND_LABEL: "task-image"}
            add_layer(
                client, parent, tag, entries=entries, script=script, labels=labels, result_label=BASE_COMMIT_LABEL
            )
    return tag


def base_commit(client: docker.DockerClient, image: str) -> str:
    """Return the id of the one commit in a task image's ``/testbed``, from its label: nothing inside can forge it."""
    try:
        labels = client.images.get(image).labels
    except docker.errors.ImageNotFound:
        raise ImageBuildError(f"{image}: there is no such image; build it again") from None
    commit = labels.get(BASE_COMMIT_LABEL)
    if not commit:
        raise ImageBuildError(f"{image}: is not a task image (it has no label {BASE_COMMIT_LABEL})")
    return str(commit)


def dependencies_image(client: docker.DockerClient, requirements: tuple[str, ...]) -> str:
    """Return the tag of an image with the requirements and an empty ``/testbed``, built if it is not there.

    Raises:
        ImageBuildError: it cannot be built; the message ends with the output of what failed.
    """
    base = base_image(client)
    tag = _dependencies_tag(base, requirements)
    if exists(client, tag):
        return tag
    with file_lock(cache_dir() / "images.lock"):
        return _dependencies_image(client, base, requirements)


def _dependencies_image(client: docker.DockerClient, base: str, requirements: tuple[str, ...]) -> str:
    """Return the image with the requirements installed: the base itself where there are none."""
    tag = _dependencies_tag(base, requirements)
    if not exists(client, tag):
        wanted = sorted(set(requirements))
        files = wheels.fetch(wanted, machine=client.info()["Architecture"])
        entries = [Entry(target=f"tmp/wheels/{path.name}", source=path) for path in files]
        add_layer(client, base, tag, entries=entries, script=_PIP_SCRIPT, labels={KIND_LABEL: "dependencies-image"})
    return tag


def _dependencies_tag(base: str, requirements: tuple[str, ...]) -> str:
    return f"srl-swe/deps:{_digest([base, *sorted(set(requirements))])}" if requirements else base


def _import_script(spec: ImageSpec) -> str:
    """Return what makes the repository's packages importable from where they are, if not by the working directory."""
    if spec.install:
        return _INSTALL_SCRIPT
    source = spec.repository / "src"
    return _SOURCE_SCRIPT if source.is_dir() and not (source / "__init__.py").exists() else ""


def _repository_entries(repository: Path) -> list[Entry]:
    """Return everything in a repository that goes into ``/testbed``, folders before what is in them."""
    entries = []
    for folder, folders, files in os.walk(repository):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for name in sorted([*folders, *files]):
            path = Path(folder) / name
            if name not in LEFT_OUT and path.suffix != ".pyc":
                target = Path("testbed") / path.relative_to(repository)
                entries.append(Entry(target=target.as_posix(), source=path, owner=AGENT_ID))
    return entries


def _spec_hash(spec: ImageSpec, base: str, entries: list[Entry]) -> str:
    """Return the hash of all that a task image is made from."""
    parts = [base, *sorted(set(spec.requirements)), f"install={spec.install}", COMMIT_SCRIPT, _INSTALL_SCRIPT]
    if (script := _import_script(spec)) == _SOURCE_SCRIPT:
        parts.append(script)
    for entry in entries:
        path = entry.source
        if path.is_symlink():
            content = f"link {path.readlink()}"
        elif path.is_file():
            executable = bool(path.stat().st_mode & 0o100)
            content = f"file {executable} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        else:
            content = "folder"
        parts.append(f"{entry.target} {content}")
    return _digest(parts)


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()[:16]


# By file and not by name: the host's pip has already decided which ones.
_PIP_SCRIPT = """
/opt/venv/bin/pip install --quiet --no-index --no-cache-dir --no-deps --root-user-action=ignore /tmp/wheels/*.whl
rm -rf /tmp/wheels /root/.cache
"""

# Author and date are fixed, so that the commit's id depends on the files alone. Ignored files of the repository are
# kept: a source distribution often holds generated ones that its own .gitignore names. One pack in place of a folder
# for each few objects: there is less to copy where a sandbox is a copy.
COMMIT_SCRIPT = """
cd /testbed
as_agent() { setpriv --reuid=1000 --regid=1000 --clear-groups env HOME=/home/agent "$@"; }
export GIT_AUTHOR_NAME=srl-swe GIT_AUTHOR_EMAIL=srl-swe@localhost GIT_AUTHOR_DATE=2020-01-01T00:00:00Z
export GIT_COMMITTER_NAME=srl-swe GIT_COMMITTER_EMAIL=srl-swe@localhost GIT_COMMITTER_DATE=2020-01-01T00:00:00Z
as_agent git init --quiet --template= .
as_agent git add --all --force .
as_agent git commit --quiet --no-verify --message "Base state"
as_agent git repack -a -d -q
"""

# As root, into root's environment; what it leaves in the repository (metadata) becomes the agent's, and git ignores it.
_INSTALL_SCRIPT = """
/opt/venv/bin/pip install --quiet --no-index --no-cache-dir --no-deps --no-build-isolation --root-user-action=ignore \\
    --config-settings editable_mode=compat --editable /testbed
chown -R agent:agent /testbed
rm -rf /root/.cache
"""

# The place is searched last, so that nothing in it stands in for another module; `srl_swe.grading.paths` refuses what
# Python would run at its start.
_SOURCE_SCRIPT = """
echo /testbed/src > "$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/testbed.pth"
"""

COMMIT_ID_SCRIPT = """
as_agent git rev-parse --verify HEAD
"""
