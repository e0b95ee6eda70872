"""Unpacks root file systems: safely, and with every file that two of them share kept once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tarfile
from pathlib import Path
from typing import IO

from srl_swe.errors import SandboxError

_AT_ONCE = 1 << 20
_SANDBOX_UID = 1000


class RootUnpacker:
    """Unpacks an archive into a folder that nobody else writes to.

    Nothing lands outside: names with ``..`` and names below a link are refused. Device nodes, FIFOs and sockets are
    left out, and set-user-id bits too, because the folder is there for all users of the machine. A user who is not root
    cannot give files away: what is the image's root's secret is left without any permission.

    Args:
        target: An empty folder.
        pool: Where files are kept by their content and attributes; on the same file system.
    """

    def __init__(self, target: Path, pool: Path) -> None:
        self._target = target
        self._pool = pool
        self._folders: dict[Path, tarfile.TarInfo] = {}
        self._as_root = os.geteuid() == 0

    def unpack(self, archive: IO[bytes]) -> None:
        """Unpack it all.

        Raises:
            SandboxError: it is no archive, or one that must not be unpacked.
        """
        try:
            with tarfile.open(fileobj=archive, mode="r|*") as tar:
                for member in tar:
                    self._unpack_one(tar, member)
            # Now that nothing is put in them any more; the deepest first.
            for place, member in sorted(self._folders.items(), reverse=True):
                self._finish(place, member)
        except (tarfile.TarError, OSError, UnicodeError) as error:
            raise SandboxError(f"the archive of the root file system cannot be unpacked: {error}") from error

    def _unpack_one(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        place = self._place(member.name)
        if place == self._target:
            return
        if member.isdir():
            if place.is_symlink() or (place.exists() and not place.is_dir()):
                place.unlink()
            place.mkdir(exist_ok=True)
            self._folders[place] = member
        elif member.isfile() or member.issym() or member.islnk():
            if os.path.lexists(place):
                place.unlink()
            if member.issym():
                place.symlink_to(member.linkname)
                self._give(place, member)
            elif member.islnk():
                source = self._place(member.linkname)
                # Of the pool: a link to a link would lead anywhere.
                os.link(source, place, follow_symlinks=False)
            else:
                content = tar.extractfile(member)
                assert content is not None
                self._unpack_file(content, place, member)

    def _place(self, name: str) -> Path:
        """Where a member goes; its folder is made where the archive has none."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise SandboxError(f"the archive of the root file system holds {name!r}, which leads out of it")
        place = self._target
        for part in parts[:-1]:
            place /= part
            if place in self._folders:
                continue
            if place.is_symlink():
                raise SandboxError(f"the archive of the root file system holds {name!r}, which is below a link")
            if not place.exists():
                place.mkdir(0o755)
        return place / parts[-1] if parts else place

    def _unpack_file(self, content: IO[bytes], place: Path, member: tarfile.TarInfo) -> None:
        """Link it to the pool's copy, made where there is none yet."""
        digest = hashlib.sha256(f"{self._mode(member)} {member.uid} {member.gid} {member.mtime}\0".encode())
        with place.open("xb") as out:
            while piece := content.read(_AT_ONCE):
                digest.update(piece)
                out.write(piece)
        self._finish(place, member)
        name = digest.hexdigest()
        kept = self._pool / name[:2] / name[2:]
        try:
            kept.parent.mkdir(exist_ok=True)
            try:
                os.link(place, kept)
            except FileExistsError:
                shared = place.with_name(f".{place.name[:200]}.shared")
                os.link(kept, shared)
                shared.replace(place)
        except OSError:  # too many links, or a file system without them: the file has its own copy
            with contextlib.suppress(OSError):
                place.with_name(f".{place.name[:200]}.shared").unlink()

    def _finish(self, place: Path, member: tarfile.TarInfo) -> None:
        self._give(place, member)
        place.chmod(self._mode(member))
        os.utime(place, (member.mtime, member.mtime))

    def _mode(self, member: tarfile.TarInfo) -> int:
        mode = member.mode & 0o777 & ~(stat.S_ISUID | stat.S_ISGID)
        if member.isdir():
            mode |= member.mode & stat.S_ISVTX
        if not self._as_root and member.uid != _SANDBOX_UID and not mode & 0o004:
            return 0
        return mode

    def _give(self, place: Path, member: tarfile.TarInfo) -> None:
        if self._as_root:
            os.chown(place, member.uid, member.gid, follow_symlinks=False)
