"""The ``bubblewrap`` backend: what it opens, keeps and sweeps."""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path
from typing import Any

from srl_swe.errors import ConfigError, SandboxError
from srl_swe.sandbox.bubblewrap import layout
from srl_swe.sandbox.bubblewrap.control_groups import remove_groups
from srl_swe.sandbox.bubblewrap.enclosure import SNAPSHOT_PREFIX, BubblewrapEnclosure
from srl_swe.sandbox.bubblewrap.private_files import begin_copy, end_copy, give_to, make_private, remove_tree, size_mb
from srl_swe.sandbox.bubblewrap.processes import NamespaceProcesses
from srl_swe.sandbox.bubblewrap.roots import HOST, Root, find_root, make_folder, root_by_key, store_folder
from srl_swe.sandbox.enclosure import ShellState
from srl_swe.sandbox.network.proxy import remove_left_over_folders
from srl_swe.sandbox.owners import is_dead
from srl_swe.sandbox.protocol import SandboxSpec
from srl_swe.sandbox.shells import ShellSandbox


class BubblewrapBackend:
    """A `srl_swe.sandbox.protocol.Backend`.

    Args:
        variant: There is none.
        store: Where root file systems, snapshots and sandboxes are kept; by default `roots.store_folder`.

    Raises:
        ConfigError: a variant was asked for.
    """

    def __init__(self, variant: str = "", *, store: Path | None = None) -> None:
        if variant:
            raise ConfigError(f"backend: bubblewrap has no variants, such as {variant!r}")
        self._store = store
        self._swept = False
        self._lock = threading.Lock()

    def open(self, spec: SandboxSpec) -> ShellSandbox:
        """See `srl_swe.sandbox.protocol.Backend.open`. What dead processes left is removed on the first call."""
        layout.bwrap_version()
        with self._lock:
            first, self._swept = not self._swept, True
        if first:
            self.sweep()
        store = self._folder()
        if spec.image.startswith(SNAPSHOT_PREFIX):
            return self._open_snapshot(spec, spec.image.removeprefix(SNAPSHOT_PREFIX), store)
        kind, _, folder = spec.image.partition(":")
        host_folder = layout.check_host_folder(folder) if kind == HOST and folder else None
        root = find_root(HOST if kind == HOST else spec.image, store)
        user = layout.find_user(spec.user, root)
        if host_folder is None:
            template = layout.template(root, spec.workdir, user, store)
            enclosure = BubblewrapEnclosure(root, template, user, spec, store=store)
            return ShellSandbox(enclosure, spec, backend=self)
        return self._open_folder(spec, host_folder, root, user)

    def snapshot_mb(self, snapshot: str) -> float:
        """See `srl_swe.sandbox.protocol.Backend.snapshot_mb`."""
        folder = self._snapshot(snapshot)
        return size_mb(folder / "files") if folder.is_dir() else 0.0

    def remove_snapshot(self, snapshot: str) -> bool:
        """See `srl_swe.sandbox.protocol.Backend.remove_snapshot`."""
        folder = self._snapshot(snapshot)
        with contextlib.suppress(OSError):
            for user in (folder / "users").iterdir():
                if (self._folder() / "boxes" / user.name).exists():
                    return False
        return remove_tree(folder)

    def sweep(self) -> int:
        """See `srl_swe.sandbox.protocol.Backend.sweep`."""
        removed = 0
        for kind in ("boxes", "snapshots"):
            folder = self._folder() / kind
            for place in list(folder.iterdir()) if folder.is_dir() else []:
                if is_dead(place.name.partition("@")[2].removesuffix(".partial")):
                    _end_left_over(place)
                    removed += remove_tree(place)
        return removed + remove_left_over_folders()

    def _folder(self) -> Path:
        return make_folder(self._store or store_folder())

    def _snapshot(self, reference: str) -> Path:
        name = reference.removeprefix(SNAPSHOT_PREFIX)
        if "/" in name or name in ("", ".", ".."):
            raise SandboxError(f"{reference!r} is no snapshot of this backend")
        return self._folder() / "snapshots" / name

    def _open_snapshot(self, spec: SandboxSpec, name: str, store: Path) -> ShellSandbox:
        folder = self._snapshot(name)
        try:
            said: dict[str, Any] = json.loads((folder / "template.json").read_text())
        except (OSError, ValueError) as error:
            raise SandboxError(f"no snapshot {spec.image!r}: it was removed, or is another machine's") from error
        if said["user"] != spec.user:
            raise SandboxError(f"the snapshot was made as user {said['user']!r} and cannot be opened as {spec.user!r}")
        root: Root = root_by_key(said["root"], store)
        user = layout.find_user(spec.user, root)
        template = layout.read_description(folder)
        enclosure = BubblewrapEnclosure(root, template, user, spec, store=store, origin=name)
        state = ShellState(directory=said["directory"], exports=said["exports"])
        return ShellSandbox(enclosure, spec, backend=self, state=state)

    def _open_folder(self, spec: SandboxSpec, source: Path, root: Root, user: layout.User) -> ShellSandbox:
        """Open a sandbox with a copy of a folder of the host, which may have changed since the last time."""
        places = layout.private_places(root, spec.workdir, user)
        scratch = BubblewrapEnclosure.new_folder(self._folder())
        try:
            files = make_private(scratch / "files", user.uid, user.gid)
            layout.lay_out(root, places, user, files)
            target = files / str(places.index("/testbed"))
            end_copy(begin_copy(source, target))
            give_to(target, user.uid, user.gid)
            layout.write_description(scratch, places)
            template = layout.read_description(scratch)
            enclosure = BubblewrapEnclosure(root, template, user, spec, store=self._folder())
        finally:
            remove_tree(scratch)
        return ShellSandbox(enclosure, spec, backend=self)


def _end_left_over(folder: Path) -> None:
    """Kill what still runs in a dead process's sandbox, and remove its control groups."""
    try:
        said = json.loads((folder / "box.json").read_text())
        processes = NamespaceProcesses(int(said["first"]))
    except (OSError, ValueError, KeyError):
        return
    # Both numbers are given again; together they are still the same sandbox's.
    if processes.namespace == said["namespace"]:
        processes.kill_first()
    remove_groups(Path(group) for group in said["groups"])
