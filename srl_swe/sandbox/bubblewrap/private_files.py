"""The folders that a sandbox may write to: copied, counted, removed.

What a sandbox has written is hostile: links that lead out, trees deeper than any path, folders without permissions.
"""

from __future__ import annotations

import contextlib
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


def copy_jailed(source: Path, target: Path, uid: int, gid: int) -> None:
    """Copy what a sandbox has written: as its user, who may read all of it, and where nothing else can be reached.

    Raises:
        SandboxError: it could not be copied.
    """
    command = [*as_user(uid, gid), "bwrap", "--unshare-all", "--unshare-user", "--uid", str(uid), "--gid", str(gid)]
    command += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--cap-add", "CAP_DAC_OVERRIDE"]
    command += ["--cap-add", "CAP_DAC_READ_SEARCH", "--clearenv", *system_binds()]
    command += ["--ro-bind", str(source), "/source", "--bind", str(target), "/target", "--chdir", "/"]
    command += ["cp", "-a", "--reflink=auto", "--", "/source/.", "/target/"]
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
    for place, folders, files, at in os.fwalk(folder, follow_symlinks=False):
        for name in [*folders, *files]:
            status = os.stat(name, dir_fd=at, follow_symlinks=False)
            if (status.st_uid, status.st_gid) != (uid, gid):
                os.chown(name, uid, gid, dir_fd=at, follow_symlinks=False)
        del place


def size_mb(folder: Path) -> float:
    """Return what a tree takes on the disk, in MiB; infinite where it is nested too deep to be counted."""
    try:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
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
                    below = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
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
