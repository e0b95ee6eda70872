"""Files in and out of a container: the engine takes and gives tar archives."""

from __future__ import annotations

import io
import posixpath
import tarfile
import time
from typing import Any

from docker.errors import NotFound

from srl_swe.errors import SandboxError
from srl_swe.sandbox.calls import talking

MOST_BYTES = 1 << 28
"""The largest file that is read."""
_MOST_LINKS = 40
# Go's file modes, in which the engine describes a path.
_FOLDER = 1 << 31
_SYMLINK = 1 << 27
_NOT_REGULAR = _FOLDER | (1 << 26) | (1 << 25) | (1 << 24) | (1 << 21) | (1 << 19)
# Mounted inside the container only: the engine would show and change what lies beneath.
_MOUNTED = ("/proc", "/sys", "/dev")


class FolderMissingError(SandboxError):
    """The folder that a file is to be written to is not there."""


def read(api: Any, container: str, place: str) -> bytes:
    """Return a regular file's content; symbolic links are followed, inside the container.

    Raises:
        SandboxError: there is no such file, it is none, or it is too large.
    """
    path = place
    for _ in range(_MOST_LINKS):
        _check_place(place)
        try:
            with talking():
                chunks, stat = api.get_archive(container, place)
        except NotFound as error:
            raise SandboxError(f"{path}: no such file in the sandbox") from error
        try:
            if stat["mode"] & _SYMLINK:
                place = posixpath.join(posixpath.dirname(place), _link(chunks))
                continue
            # Before a byte of it is read: a folder comes with all that is in it.
            if stat["mode"] & _NOT_REGULAR:
                raise SandboxError(f"{path}: not a regular file in the sandbox")
            if stat["size"] > MOST_BYTES:
                raise SandboxError(f"{path}: too large to be read ({stat['size']} bytes)")
            return _content(chunks)
        finally:
            chunks.close()
    raise SandboxError(f"{path}: too many symbolic links")


def write(api: Any, container: str, place: str, data: bytes, *, owner: tuple[int, int]) -> None:
    """Write a file, in place of what has its name unless that is a folder.

    Raises:
        FolderMissingError: its folder is not there.
        SandboxError: it cannot be written.
    """
    _check_place(place)
    folder, name = posixpath.split(place)
    if name in ("", ".", "..") or _is_folder(api, container, place):
        raise SandboxError(f"{place}: names a folder, not a file")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size, member.mtime, member.mode = len(data), int(time.time()), 0o644
        member.uid, member.gid = owner
        archive.addfile(member, io.BytesIO(data))
    try:
        with talking():
            api.put_archive(container, folder, buffer.getvalue())
    except NotFound as error:
        raise FolderMissingError(f"{place}: its folder cannot be made") from error


def _check_place(place: str) -> None:
    path = posixpath.normpath("/" + place.lstrip("/"))
    if any(path == mounted or path.startswith(f"{mounted}/") for mounted in _MOUNTED):
        raise SandboxError(f"{place}: not on the sandbox's disk")


def _is_folder(api: Any, container: str, place: str) -> bool:
    """Whether a path is a folder: the engine would put the file in its place, whatever it holds."""
    try:
        with talking():
            chunks, stat = api.get_archive(container, place)
        chunks.close()
    except NotFound:
        return False
    return bool(stat["mode"] & _FOLDER)


def _link(chunks: Any) -> str:
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        member = archive.next()
        return member.linkname if member is not None else ""


def _content(chunks: Any) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        member = archive.next()
        file = archive.extractfile(member) if member is not None and member.isfile() else None
        if file is None:
            raise SandboxError("the engine sent something else than a file")
        return file.read()
