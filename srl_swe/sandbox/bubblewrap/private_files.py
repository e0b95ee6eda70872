"""The folders that a sandbox may write to: copied, counted, removed.

What a sandbox has written is hostile: links that lead out, trees deeper than any path, folders without permissions.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

from srl_swe.errors import SandboxError, StorageError

SYSTEM_FOLDERS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt", "nix", "gnu")
"""What of a machine's root file system programs need, and what is nobody's secret."""
_DEEPEST = 128
_MIB = 1 << 20
_AT_ONCE = 1 << 30
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_PATIENCE_S = 600.0


def as_user(uid: int, gid: int) -> list[str]:
    """Return what to put before a command so that root's process becomes another user's; nothing for others."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--inh-caps=-all", "--"]


def begin_copy(source: Path, target: Path) -> subprocess.Popen[bytes]:
    """Start to copy all that is in a folder into another, with owners, modes, times and hard links."""
    command = ["cp", "-a", "--reflink=auto", "--", f"{source}/.", f"{target}/"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def end_copy(copying: subprocess.Popen[bytes]) -> None:
    """Wait for a copy.

    Raises:
        StorageError: it could not be made.
    """
    with copying:
        _, said = copying.communicate()
    if copying.returncode != 0:
        raise StorageError(f"files could not be copied: {said.decode(errors='replace').strip()[-500:]}")


def make_private(folder: Path, uid: int, gid: int) -> Path:
    """Make a folder for a sandbox's private folders, closed to all but its user."""
    folder.mkdir(0o700)
    if os.geteuid() == 0:
        os.chown(folder, uid, gid)
    return folder


def copy_private(source: Path, target: Path, uid: int, gid: int) -> None:
    """Copy a sandbox's private folders, which nobody changes meanwhile; ``target`` is empty or holds empty folders.

    Here, without starting a program, because that is several times faster for a small repository, and has no limit on
    the length of paths. What this process may not read, folders without permissions, is copied by a program that may.

    Raises:
        SandboxError: they cannot be copied.
    """
    try:
        origin, copy = (os.open(folder, _FOLDER) for folder in (source, target))
        try:
            _Copy(copy).below(origin, copy, "")
        finally:
            os.close(origin)
            os.close(copy)
    except (OSError, RecursionError):
        copy_jailed(source, target, uid, gid)


class _Copy:
    """A copy that is being made. Links are copied and never followed, whoever lays them meanwhile."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._linked: dict[int, str] = {}
        self._as_root = os.geteuid() == 0

    def below(self, source: int, target: int, path: str) -> None:
        """Copy what is in a folder, then give its own attributes to the copy."""
        with os.scandir(source) as entries:
            for entry in entries:
                name, status = entry.name, entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=target)
                    origin = os.open(name, _FOLDER, dir_fd=source)
                    try:
                        copy = os.open(name, _FOLDER, dir_fd=target)
                        try:
                            self.below(origin, copy, f"{path}{name}/")
                        finally:
                            os.close(copy)
                    finally:
                        os.close(origin)
                elif not self._link(name, status, target, path):
                    self._file(name, status, source, target)
        self._give(target, os.fstat(source))

    def _link(self, name: str, status: os.stat_result, target: int, path: str) -> bool:
        """Make it a link to the copy of the same file, if there is one."""
        if status.st_nlink == 1:
            return False
        first = self._linked.setdefault(status.st_ino, path + name)
        if first == path + name:
            return False
        os.link(first, name, src_dir_fd=self._top, dst_dir_fd=target, follow_symlinks=False)
        return True

    def _file(self, name: str, status: os.stat_result, source: int, target: int) -> None:
        if stat.S_ISREG(status.st_mode):
            origin = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=source)
            try:
                copy = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=target)
                try:
                    _copy_content(origin, copy, status)
                    self._give(copy, status)
                finally:
                    os.close(copy)
            finally:
                os.close(origin)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            if self._as_root:
                os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
            times = (status.st_atime_ns, status.st_mtime_ns)
            os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)
        elif stat.S_ISFIFO(status.st_mode):
            os.mkfifo(name, stat.S_IMODE(status.st_mode), dir_fd=target)
            if self._as_root:
                os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)

    def _give(self, descriptor: int, status: os.stat_result) -> None:
        if self._as_root:
            os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_content(origin: int, copy: int, status: os.stat_result) -> None:
    """Copy a file's content; its holes are left out."""
    size = status.st_size
    if status.st_blocks * 512 >= size:
        _copy_range(origin, copy, 0, size)
        return
    os.ftruncate(copy, size)
    end = 0
    while end < size:
        try:
            begin = os.lseek(origin, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        end = os.lseek(origin, begin, os.SEEK_HOLE)
        _copy_range(origin, copy, begin, end)


def _copy_range(origin: int, copy: int, begin: int, end: int) -> None:
    os.lseek(copy, begin, os.SEEK_SET)
    while begin < end:
        sent = os.sendfile(copy, origin, begin, min(end - begin, _AT_ONCE))
        if sent == 0:
            return
        begin += sent


def copy_jailed(source: Path, target: Path, uid: int, gid: int) -> None:
    """Copy what a sandbox has written: as its user, who may read all of it, and where nothing else can be reached.

    Raises:
        SandboxError: it could not be copied.
    """
    command = [*as_user(uid, gid), "bwrap", "--unshare-all", "--unshare-user", "--uid", str(uid), "--gid", str(gid)]
    command += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--cap-add", "CAP_DAC_OVERRIDE"]
    command += ["--cap-add", "CAP_DAC_READ_SEARCH", "--clearenv", *system_binds()]
    # With /proc, without which cp cannot give permissions to a folder that it may not open.
    command += [
        "--proc",
        "/proc",
        "--ro-bind",
        str(source),
        "/source",
        "--bind",
        str(target),
        "/target",
        "--chdir",
        "/",
    ]
    command += ["cp", "-a", "--reflink=auto", "--remove-destination", "--", "/source/.", "/target/"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxError(f"the sandbox's files cannot be copied: {error}") from error
    if done.returncode != 0:
        raise SandboxError(f"the sandbox's files cannot be copied: {done.stderr.decode(errors='replace')[-500:]}")


def system_binds(folders: Iterable[str] = SYSTEM_FOLDERS) -> list[str]:
    """Return bubblewrap's options that show the machine's own programs, read-only."""
    options: list[str] = []
    for name in folders:
        place = Path("/") / name
        if place.is_symlink():
            options += ["--symlink", str(place.readlink()), str(place)]
        elif place.is_dir():
            options += ["--ro-bind", str(place), str(place)]
    return options


def give_to(folder: Path, uid: int, gid: int) -> None:
    """Make all of a tree a user's. Nobody else may be writing to it."""
    if os.geteuid() != 0:
        return
    os.chown(folder, uid, gid, follow_symlinks=False)
    for _, folders, files, at in os.fwalk(folder, follow_symlinks=False):
        for name in [*folders, *files]:
            status = os.stat(name, dir_fd=at, follow_symlinks=False)
            if (status.st_uid, status.st_gid) != (uid, gid):
                os.chown(name, uid, gid, dir_fd=at, follow_symlinks=False)


def size_mb(folder: Path) -> float:
    """Return what a tree takes on the disk, in MiB; infinite where it is nested too deep to be counted."""
    try:
        at = os.open(folder, _FOLDER)
    except OSError:
        return 0.0
    try:
        return _bytes_below(at, set(), 0) / _MIB
    finally:
        os.close(at)


def _bytes_below(at: int, seen: set[tuple[int, int]], depth: int) -> float:
    if depth > _DEEPEST:
        return float("inf")
    total = 0.0
    with contextlib.suppress(OSError), os.scandir(at) as entries:
        for entry in entries:
            # What is being removed meanwhile is not counted.
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                    if (status.st_dev, status.st_ino) in seen:
                        continue
                    seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
                if stat.S_ISDIR(status.st_mode):
                    below = os.open(entry.name, _FOLDER, dir_fd=at)
                    try:
                        total += _bytes_below(below, seen, depth + 1)
                    finally:
                        os.close(below)
    return total


def remove_tree(folder: Path) -> bool:
    """Remove a tree, however deep and whatever its modes; return whether it is gone. Raises nothing."""
    for prepare in (None, ["chmod", "-R", "u+rwX", "--", str(folder)]):
        commands = [prepare] if prepare else []
        for command in [*commands, ["rm", "-rf", "--one-file-system", "--", str(folder)]]:
            with contextlib.suppress(OSError):
                subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if not os.path.lexists(folder):
            return True
    return False
