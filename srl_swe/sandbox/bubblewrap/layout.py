"""What a sandbox sees: its user, its private folders, and bubblewrap's options for all of it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import posixpath
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from srl_swe.errors import ConfigError, EngineUnavailableError, SandboxError
from srl_swe.sandbox.bubblewrap.private_files import (
    SYSTEM_FOLDERS,
    begin_copy,
    end_copy,
    give_to,
    make_private,
    remove_tree,
    size_mb,
    system_binds,
)
from srl_swe.sandbox.bubblewrap.roots import Root, make_folder
from srl_swe.sandbox.locks import file_lock
from srl_swe.sandbox.system_image import tools

AGENT = "agent"
AGENT_UID = 1000
OUR_PLACE = "/run/srl-swe"
"""Where the FIFOs are, in the sandbox."""
TOOLS_PLACE = "/run/srl-swe-tools"
_MIB = 1 << 20
_MOST_LINKS = 40
# What Docker covers too; only what is there can be covered.
_COVERED_FILES = ("kcore", "keys", "key-users", "latency_stats", "timer_list", "timer_stats", "sched_debug")
_COVERED_FOLDERS = ("acpi", "asound", "scsi", "fs", "bus", "irq", "driver")


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """Who the commands run as."""

    name: str
    """As in ``/etc/passwd``."""
    uid: int
    """In the sandbox; on the host too, where this process is root."""
    gid: int
    """Likewise."""
    home: str
    """The home folder."""
    known: bool
    """Whether the root file system has such a user."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """Private folders as a sandbox finds them."""

    folder: Path
    """Holds ``0``, ``1``, …: what is mounted at the places."""
    places: tuple[str, ...]
    """Where they are mounted, without links."""
    size_mb: float
    """What they take on the disk, in MiB."""


def find_user(name: str, root: Root) -> User:
    """Return a user of a root file system. ``agent`` is made up where there is none.

    Raises:
        SandboxError: there is no such user, or it is the superuser.
    """
    for fields in _passwd(root):
        if fields[0] == name:
            if int(fields[2]) == 0:
                raise SandboxError(f"user: {name!r} is the superuser, which a bubblewrap sandbox does not have")
            return User(name=name, uid=int(fields[2]), gid=int(fields[3]), home=fields[5] or "/", known=True)
    if name != AGENT:
        raise SandboxError(f"user: {name!r} is not in the /etc/passwd of the root file system")
    return User(name=AGENT, uid=AGENT_UID, gid=AGENT_UID, home=f"/home/{AGENT}", known=False)


def user_files(user: User, root: Root, folder: Path) -> list[str]:
    """Write ``passwd`` and ``group`` where the root file system's lack the user; return the options that show them.

    On the machine's own root file system, its people are left out.
    """
    if user.known and root.folder is not None:
        return []
    options = []
    lines = [":".join(fields) for fields in _passwd(root) if int(fields[2]) not in (user.uid, 0)]
    lines = [line for line in lines if root.folder is not None or int(line.split(":")[2]) < AGENT_UID]
    own = f"{user.name}:x:{user.uid}:{user.gid}::{user.home}:/bin/bash"
    texts = {"passwd": ["root:x:0:0:root:/root:/bin/bash", own, *lines], "group": _groups(user, root)}
    for name, content in texts.items():
        path = folder / name
        path.write_text("\n".join(content) + "\n")
        path.chmod(0o644)
        options += ["--ro-bind", str(path), f"/etc/{name}"]
    return options


def private_places(root: Root, workdir: str, user: User) -> list[str]:
    """Return where a sandbox may write; none is below another.

    Raises:
        SandboxError: the root file system has no such working directory.
    """
    begin = _resolve(root, workdir)
    if root.folder is None:
        if begin not in ("/", "/testbed") and not _is_system(begin):
            raise SandboxError(f"workdir: {workdir!r} is not in the sandbox; with the host's programs it is /testbed")
    elif not (root.folder / begin.lstrip("/")).is_dir():
        raise SandboxError(f"workdir: the root file system has no folder {workdir!r}")
    wanted = {_resolve(root, place) for place in ("/tmp", "/var/tmp", user.home)}
    wanted |= {"/testbed"} if root.folder is None else {begin}
    places = sorted(place for place in wanted if place != "/" and not _is_whole_system(place))
    return [place for place in places if not any(place.startswith(f"{other}/") for other in places)]


def template(root: Root, workdir: str, user: User, store: Path) -> Template:
    """Return the private folders of sandboxes on a root file system; they are laid out once.

    Raises:
        SandboxError: the root file system has no such working directory.
        StorageError: they cannot be copied.
    """
    name = hashlib.sha256(f"{root.key} {workdir} {user.name} {user.uid} {user.home}".encode()).hexdigest()[:32]
    folder = make_folder(make_folder(store) / "templates") / name
    description = folder / "template.json"
    if not description.exists():
        places = private_places(root, workdir, user)
        with file_lock(folder.with_name(f"{name}.lock")):
            if not description.exists():
                partial = folder.with_name(f"{name}.partial")
                remove_tree(partial)
                make_folder(partial)
                lay_out(root, places, user, make_private(partial / "files", user.uid, user.gid))
                write_description(partial, places)
                remove_tree(folder)
                partial.rename(folder)
    return read_description(folder)


def lay_out(root: Root, places: list[str], user: User, target: Path) -> None:
    """Copy what a root file system has at the places into ``target/0``, ``target/1``, …, and give it to the user."""
    for number, place in enumerate(places):
        folder = target / str(number)
        folder.mkdir()
        source = root.folder / place.lstrip("/") if root.folder is not None else None
        if source is not None and source.is_dir():
            end_copy(begin_copy(source, folder))
        give_to(folder, user.uid, user.gid)
        folder.chmod(0o1777 if place.endswith("/tmp") else stat.S_IMODE(folder.stat().st_mode) | 0o700)


def write_description(folder: Path, places: list[str] | tuple[str, ...], **more: str) -> None:
    """Say what a template is, beside its files."""
    size = size_mb(folder / "files")
    (folder / "template.json").write_text(json.dumps({"places": list(places), "size_mb": size, **more}))


def read_description(folder: Path) -> Template:
    """Return the template in a folder."""
    said = json.loads((folder / "template.json").read_text())
    return Template(folder=folder / "files", places=tuple(said["places"]), size_mb=said["size_mb"])


def bwrap_options(root: Root, user: User, private: list[tuple[Path, str]], io: Path, memory_mb: int) -> list[str]:
    """Return bubblewrap's options, all but descriptors and the command."""
    options = ["--unshare-all", "--unshare-user", "--uid", str(user.uid), "--gid", str(user.gid)]
    options += ["--die-with-parent", "--new-session", "--as-pid-1", "--hostname", "sandbox", "--cap-drop", "ALL"]
    options += ["--clearenv"]
    for name, value in environment(root, user).items():
        options += ["--setenv", name, value]
    if root.folder is None:
        options += [*system_binds(), "--dir", "/var", "--dir", "/home", "--dir", "/root", "--dir", "/sys"]
    else:
        options += ["--ro-bind", str(root.folder), "/"]
    options += ["--proc", "/proc", *_proc_covers(), "--dev", "/dev"]
    options += [*_tmpfs("/dev/shm", "1777", min(64, memory_mb // 4 or 1)), "--remount-ro", "/dev"]
    options += [*_tmpfs("/run", "0755", min(16, memory_mb // 8 or 1)), "--ro-bind", str(io), OUR_PLACE]
    for source, place in private:
        options += ["--bind", str(source), place]
    return options


def environment(root: Root, user: User) -> dict[str, str]:
    """Return what programs are started with; what an engine adds is added."""
    found = dict(root.environment)
    if root.folder is None:
        found["PATH"] = f"{TOOLS_PLACE}:{found['PATH']}"
        found |= {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PAGER": "cat", "GIT_PAGER": "cat"}
    return {"HOME": user.home, "HOSTNAME": "sandbox"} | found


def tools_folder(store: Path) -> Path:
    """Return a folder with the programs that every task image has; all may read it."""
    contents = {path.name: path.read_bytes() for path in tools()}
    digest = hashlib.sha256(repr(sorted(contents.items())).encode()).hexdigest()[:16]
    folder = make_folder(make_folder(store) / "tools") / digest
    with file_lock(folder.with_name(f"{digest}.lock")):
        if not folder.exists():
            partial = folder.with_name(f"{digest}.partial")
            remove_tree(partial)
            partial.mkdir()
            for name, content in contents.items():
                (partial / name).write_bytes(content)
                (partial / name).chmod(0o755)
            partial.chmod(0o755)
            partial.rename(folder)
    return folder


def check_host_folder(folder: str) -> Path:
    """Return the folder that ``host:FOLDER`` names.

    Raises:
        ConfigError: the path is not absolute.
        SandboxError: it is no folder.
    """
    if not folder.startswith("/"):
        raise ConfigError(f"image: expected host:FOLDER with an absolute path, not {folder!r}")
    if not Path(folder).is_dir():
        raise SandboxError(f"image: {folder}: no such folder")
    return Path(folder)


@functools.cache
def bwrap_version() -> tuple[int, ...]:
    """Return bubblewrap's version.

    Raises:
        EngineUnavailableError: it is not installed.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise EngineUnavailableError("bubblewrap is not installed: no program bwrap on PATH (package bubblewrap)")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(map(int, re.findall(r"\d+", said)))


def _tmpfs(place: str, mode: str, most_mb: int) -> list[str]:
    # Before 0.7 there is no such option; what is written there counts as memory anyway.
    size = ["--size", str(most_mb * _MIB)] if bwrap_version() >= (0, 7) else []
    return ["--perms", mode, *size, "--tmpfs", place]


@functools.cache
def _proc_covers() -> tuple[str, ...]:
    options: list[str] = []
    for name in _COVERED_FILES:
        if Path("/proc", name).exists():
            options += ["--ro-bind", "/dev/null", f"/proc/{name}"]
    for name in _COVERED_FOLDERS:
        if Path("/proc", name).is_dir():
            options += ["--tmpfs", f"/proc/{name}", "--remount-ro", f"/proc/{name}"]
    return tuple(options)


def _is_system(place: str) -> bool:
    return place.split("/")[1] in SYSTEM_FOLDERS


def _is_whole_system(place: str) -> bool:
    """Whether it is a top folder of the system, which is nobody's work."""
    return place.count("/") == 1 and place.split("/")[1] in (
        *SYSTEM_FOLDERS,
        "proc",
        "dev",
        "sys",
        "run",
        "var",
        "boot",
    )


def _resolve(root: Root, place: str) -> str:
    """Return where a path leads within a root file system, following its links; what is not there is taken as it is."""
    left = [part for part in place.split("/") if part not in ("", ".")][::-1]
    at = "/"
    links = 0
    while left:
        part = left.pop()
        if part == "..":
            at = posixpath.dirname(at)
            continue
        here = posixpath.join(at, part)
        target = None
        if root.folder is not None:
            with contextlib.suppress(OSError):
                target = str((root.folder / here.lstrip("/")).readlink())
        if target is None:
            at = here
            continue
        links += 1
        if links > _MOST_LINKS:
            raise SandboxError(f"{place}: too many links in the root file system")
        at = "/" if target.startswith("/") else at
        left += [step for step in target.split("/") if step not in ("", ".")][::-1]
    return at


def _etc_lines(root: Root, name: str) -> list[list[str]]:
    path = (root.folder or Path("/")) / _resolve(root, f"/etc/{name}").lstrip("/")
    try:
        return [line.split(":") for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return []


def _passwd(root: Root) -> list[list[str]]:
    return [line for line in _etc_lines(root, "passwd") if len(line) >= 7 and line[2].isdigit() and line[3].isdigit()]


def _groups(user: User, root: Root) -> list[str]:
    found = [line for line in _etc_lines(root, "group") if len(line) >= 4 and line[2].isdigit()]
    kept = [":".join([*line[:3], ""]) for line in found if int(line[2]) < AGENT_UID and line[0] != user.name]
    return [f"{user.name}:x:{user.gid}:", *kept]
