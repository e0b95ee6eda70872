"""Root file systems: where they come from, and the store that keeps them.

An image's is exported once from a container engine, and found later without one. `pack_root` and `import_root` carry it
to a machine that has no engine. ``host`` is the machine's own.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from docker.errors import ImageNotFound
from requests.exceptions import RequestException

from srl_swe.errors import EngineUnavailableError, SandboxError
from srl_swe.files import replacing, write_atomically
from srl_swe.sandbox.bubblewrap.archives import RootUnpacker
from srl_swe.sandbox.bubblewrap.private_files import begin_copy, end_copy, remove_tree
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.calls import shared_client, talking
from srl_swe.sandbox.leftovers import labels
from srl_swe.sandbox.locks import file_lock

HOST = "host"
DESCRIPTION = ".srl-swe-root.json"
"""In an archive of `pack_root`: what the image says, beside its files."""
_FOLDERS = ("proc", "dev", "sys", "run", "tmp", "var/tmp", "home")
_HOSTS = "127.0.0.1\tlocalhost sandbox\n::1\tlocalhost\n"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """A root file system."""

    key: str
    """Its name in the store; that of another content is another."""
    folder: Path | None
    """Where it is; ``None``: the machine's own."""
    environment: tuple[tuple[str, str], ...] = (("PATH", _PATH),)
    """What programs are started with."""


def store_folder() -> Path:
    """Return where root file systems, snapshots and open sandboxes are kept: below ``/var/lib`` for root.

    Below root's own home nobody else could go, and bubblewrap runs as somebody else.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/srl-swe/bubblewrap")
    return cache_dir() / "bubblewrap"


def make_folder(folder: Path) -> Path:
    """Make a folder through which all may go, and which only its owner may list."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
    return folder


def find_root(image: str, store: Path | None = None) -> Root:
    """Return an image's root file system, exported now where it is not in the store.

    An engine that answers is asked, once in a process, whether the image is still the one that was exported.

    Raises:
        SandboxError: it is nowhere; the message says what to do.
    """
    store = store or store_folder()
    if image == HOST:
        return Root(key=HOST, folder=None)
    with _lock:
        root = _known.get((store, image))
        if root is None or root.folder is None or not root.folder.is_dir():
            root = _known[store, image] = _look_up(image, store)
        return root


def export_root(image: str, store: Path | None = None) -> Path:
    """Export an image's root file system from the container engine; return the folder that has it.

    Raises:
        EngineUnavailableError: no engine answers.
        SandboxError: the engine has no such image.
    """
    store = store or store_folder()
    api: Any = shared_client().api
    try:
        with talking():
            found = api.inspect_image(image)
    except ImageNotFound as error:
        raise SandboxError(f"no image {image!r} on this engine") from error
    key = hashlib.sha256(found["Id"].encode()).hexdigest()[:32]
    folder = store / "roots" / key
    config = found.get("Config") or {}
    description = {"image": image, "env": config.get("Env") or [], "workdir": config.get("WorkingDir") or ""}

    def fill(target: Path) -> None:
        with _exported(api, image) as archive:
            RootUnpacker(target, _pool(store)).unpack(archive)

    _make(folder, fill, description)
    write_atomically(_name_file(image, store), json.dumps({"image": image, "root": key}))
    return folder / "files"


def pack_root(image: str, archive: Path, store: Path | None = None) -> None:
    """Write an image's root file system into an archive that `import_root` reads.

    Raises:
        SandboxError: there is no such image.
        StorageError: the archive cannot be written.
    """
    root = find_root(image, store)
    if root.folder is None:
        raise SandboxError(f"{image!r} is the machine itself: there is nothing to pack")
    description = (root.folder.parent / "image.json").read_bytes()
    with replacing(archive) as out, tarfile.open(fileobj=out, mode="w|") as tar:
        member = tarfile.TarInfo(DESCRIPTION)
        member.size = len(description)
        tar.addfile(member, io.BytesIO(description))
        tar.add(root.folder, arcname=".")


def import_root(source: Path, image: str, store: Path | None = None) -> Path:
    """Put a root file system into the store under an image's name; return the folder that has it.

    Args:
        source: An archive of `pack_root`, one that ``docker export`` or ``podman export`` wrote, or a folder.
        image: The name for `srl_swe.sandbox.SandboxSpec.image`.
        store: By default `store_folder`.

    Raises:
        SandboxError: it cannot be read.
    """
    store = store or store_folder()
    if not source.exists():
        raise SandboxError(f"{source}: no such archive or folder")
    key = hashlib.sha256(f"imported {image} {secrets.token_hex(16)}".encode()).hexdigest()[:32]
    description: dict[str, Any] = {"image": image, "env": [], "workdir": ""}

    def fill(target: Path) -> None:
        if source.is_dir():
            end_copy(begin_copy(source, target))
        else:
            with source.open("rb") as archive:
                RootUnpacker(target, _pool(store)).unpack(archive)
        described = target / DESCRIPTION
        if described.is_file() and not described.is_symlink():
            description.update(json.loads(described.read_text()) | {"image": image})
            described.unlink()

    _make(store / "roots" / key, fill, description)
    write_atomically(_name_file(image, store), json.dumps({"image": image, "root": key}))
    with _lock:
        _known.pop((store, image), None)
    return store / "roots" / key / "files"


_lock = threading.RLock()
_known: dict[tuple[Path, str], Root] = {}


def _look_up(image: str, store: Path) -> Root:
    reason = ""
    try:
        export_root(image, store)
    except EngineUnavailableError:
        reason = "no container engine answers that it could be exported from; export_root and pack_root make an archive"
        reason += " of it on a machine with an engine, and import_root reads it here (srl_swe.sandbox.bubblewrap.roots)"
    except SandboxError as error:
        reason = str(error)
    try:
        key = json.loads(_name_file(image, store).read_text())["root"]
    except (OSError, ValueError, KeyError) as error:
        raise SandboxError(f"no root file system of the image {image!r} in {store}: {reason or error}") from error
    return root_by_key(key, store)


def root_by_key(key: str, store: Path) -> Root:
    """Return a root file system that is in the store.

    Raises:
        SandboxError: it is not, or no longer.
    """
    if key == HOST:
        return Root(key=HOST, folder=None)
    try:
        description = json.loads((store / "roots" / key / "image.json").read_text())
    except (OSError, ValueError) as error:
        raise SandboxError(f"the root file system {key} is not in {store}") from error
    environment = dict(entry.partition("=")[::2] for entry in description["env"] if "=" in entry)
    environment.setdefault("PATH", _PATH)
    return Root(key=key, folder=store / "roots" / key / "files", environment=tuple(environment.items()))


def _name_file(image: str, store: Path) -> Path:
    return make_folder(make_folder(store) / "names") / f"{hashlib.sha256(image.encode()).hexdigest()[:32]}.json"


def _pool(store: Path) -> Path:
    folder = make_folder(store / "shared")
    folder.chmod(0o700)
    return folder


def _make(folder: Path, fill: Any, description: dict[str, Any]) -> None:
    """Make a root file system's folder, once for all processes: whole, or not at all."""
    make_folder(make_folder(folder.parent.parent) / folder.parent.name)
    with file_lock(folder.with_name(f"{folder.name}.lock")):
        if folder.exists():
            return
        partial = folder.with_name(f"{folder.name}.partial")
        remove_tree(partial)
        try:
            files = make_folder(partial) / "files"
            files.mkdir(0o755)
            files.chmod(0o755)
            fill(files)
            _complete(files)
            (partial / "image.json").write_text(json.dumps(description))
            partial.rename(folder)
        except BaseException:
            remove_tree(partial)
            raise


def _complete(files: Path) -> None:
    """Make the places that something is mounted on, and name the sandbox's own addresses as an engine would."""
    for name in _FOLDERS:
        with contextlib.suppress(FileExistsError):
            (files / name).mkdir(parents=True, exist_ok=True)
    hosts = files / "etc" / "hosts"
    with contextlib.suppress(OSError):
        if not hosts.is_symlink() and not (hosts.exists() and hosts.read_text().strip()):
            hosts.unlink(missing_ok=True)  # not written to: it may be shared with other root file systems
            hosts.write_text(_HOSTS)
            hosts.chmod(0o644)


@contextlib.contextmanager
def _exported(api: Any, image: str) -> Iterator[IO[bytes]]:
    """An image's files as an archive. A container is made for it, and never started."""
    with talking():
        container = api.create_container(image, command=["true"], labels=labels("export"))["Id"]
    try:
        with talking():
            pieces = api.export(container, chunk_size=1 << 20)
            yield io.BufferedReader(_Stream(pieces), 1 << 20)
    except RequestException as error:
        raise SandboxError(f"the engine broke off the export of {image!r}: {error}") from error
    finally:
        with talking():
            api.remove_container(container, force=True, v=True)


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
