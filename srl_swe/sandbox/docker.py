"""The ``docker`` backend: one container a sandbox, over the Docker API (Docker Engine 20.10 or later, or Podman's).

Protected by default: no network (an allow-list goes by a proxy of ours, see `srl_swe.sandbox.network`); all
capabilities dropped; no new privileges; the engine's seccomp profile; limits on memory, swap, CPU, processes, open
files and disk; commands run as the image's user ``agent``, who owns nothing of the system.

Not protected: the kernel is shared with the host, so that a kernel bug is a way out (``docker:runsc``, gVisor, stands
against that); without quotas of the storage driver, disk is watched every two seconds and not held exactly; timing and
load that other containers can notice. What runs in a sandbox can read all of its image.
"""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Sequence
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from srl_swe.errors import SandboxError, SandboxLostError
from srl_swe.sandbox.calls import address, shared_client, talking
from srl_swe.sandbox.enclosure import Channel, ShellState
from srl_swe.sandbox.engine import EngineKind
from srl_swe.sandbox.exec_channel import ExecChannel
from srl_swe.sandbox.leftovers import LASTING_LABELS, labels, sweep
from srl_swe.sandbox.network.proxy import AllowListProxy, remove_left_over_folders
from srl_swe.sandbox.network.relay import MOUNT
from srl_swe.sandbox.owners import OWNER_LABEL, this_process
from srl_swe.sandbox.podman import GO, PodmanTraits, podman_traits
from srl_swe.sandbox.protocol import SandboxSpec
from srl_swe.sandbox.reaper import watch
from srl_swe.sandbox.shells import ShellSandbox

DIRECTORY_LABEL = "srl_swe.directory"
EXPORTS_LABEL = "srl_swe.exports"
SNAPSHOT_REPOSITORY = "srl-swe/snapshot"
_MIB = 1 << 20

# Kills what the user may kill but the processes named. Stopped first, all at once, so that nothing forks meanwhile; in
# builtins only, because a fork bomb leaves no room for another process. $1: pids; $2: pids whose descendants stay too.
_KILL = r"""
kill -STOP -1
declare -A parent
for place in /proc/[0-9]*; do
  stat=
  { IFS= read -r -d '' stat <"$place/stat"; } 2>/dev/null
  stat=${stat##*) }
  stat=${stat#* }
  parent[${place#/proc/}]=${stat%% *}
done
for pid in "${!parent[@]}"; do
  case " 1 $$ $1 " in *" $pid "*) continue ;; esac
  at=$pid
  while [[ ${at:-0} -gt 1 ]]; do
    case " $2 " in *" $at "*) continue 2 ;; esac
    at=${parent[$at]}
  done
  kill -9 "$pid"
done
kill -CONT -1
printf '%s' "$3"
"""
_KILL_ATTEMPTS = 60
_KILL_S = 30.0
_KILLED = "all-killed"


class DockerBackend:
    """A `srl_swe.sandbox.protocol.Backend`. ``docker:NAME`` asks for another OCI runtime, ``crun`` or ``runsc``."""

    def __init__(self, variant: str = "", *, engine: EngineKind = "docker") -> None:
        """Connect to nothing yet.

        Args:
            variant: The OCI runtime's name, as the engine knows it; empty: the engine's default.
            engine: Which kind of engine is asked.
        """
        self._runtime = variant
        self._engine: EngineKind = engine

    def open(self, spec: SandboxSpec) -> ShellSandbox:
        """See `srl_swe.sandbox.protocol.Backend.open`."""
        api = shared_client(self._engine).api
        podman = podman_traits(api)
        if podman is not None:
            podman.check(self._runtime)
        watch(address(api), this_process(), OWNER_LABEL)
        state = _kept_state(api, spec.image)
        enclosure = DockerEnclosure(api, spec, runtime=self._runtime, podman=podman)
        return ShellSandbox(enclosure, spec, backend=self, state=state)

    def snapshot_mb(self, snapshot: str) -> float:
        """See `srl_swe.sandbox.protocol.Backend.snapshot_mb`."""
        api: Any = shared_client(self._engine).api
        try:
            with talking():
                image = api.inspect_image(snapshot)
                # An engine that does not say what it was made from has flattened it: all of it is its own.
                parent = api.inspect_image(image["Parent"])["Size"] if image.get("Parent") else 0
        except ImageNotFound:
            return 0.0
        return max(0.0, float(image["Size"] - parent)) / _MIB

    def remove_snapshot(self, snapshot: str) -> bool:
        """See `srl_swe.sandbox.protocol.Backend.remove_snapshot`."""
        try:
            # Never by force: Podman would remove the containers that stand on it.
            shared_client(self._engine).api.remove_image(snapshot)
        except NotFound:
            return True
        except (DockerException, requests.RequestException):
            return False
        return True

    def sweep(self) -> int:
        """See `srl_swe.sandbox.protocol.Backend.sweep`."""
        return sweep(shared_client(self._engine)) + remove_left_over_folders()


class DockerEnclosure:
    """A container, as a `srl_swe.sandbox.enclosure.Enclosure`."""

    def __init__(self, api: Any, spec: SandboxSpec, *, runtime: str = "", podman: PodmanTraits | None = None) -> None:
        """Make and start it.

        Raises:
            SandboxError: it does not start; nothing is left behind.
        """
        self._api = api
        self._spec = spec
        self._podman = podman
        self._quota = False
        self.container_id = ""
        self._proxy = AllowListProxy(spec.network) if spec.network else None
        try:
            self.container_id = self._create(runtime)
            with talking():
                api.start(self.container_id)
        except BaseException:
            self.remove()
            raise

    def start(self, command: Sequence[str]) -> Channel:
        """See `srl_swe.sandbox.enclosure.Enclosure.start`."""
        if self._podman is not None:
            command = self._podman.patient(command, self._spec.limits)
        channel = ExecChannel(self._api, self._living(), command, user=self._spec.user)
        if self._podman is not None:
            channel.send(GO)
        return channel

    def kill(self, *, spared: Sequence[int] = (), spared_trees: Sequence[int] = ()) -> None:
        """See `srl_swe.sandbox.enclosure.Enclosure.kill`."""
        pids = (" ".join(map(str, given)) for given in (spared, spared_trees))
        command = ["bash", "--noprofile", "--norc", "-c", _KILL, "bash", *pids, _KILLED]
        for _ in range(_KILL_ATTEMPTS):
            said = self._said_by(command)
            if _KILLED.encode() in said:
                return
            # At the sandbox's process limit runc itself, now and then, finds no room for its threads, and no error is
            # raised for it. crun has none.
            self.check()
        raise SandboxLostError(f"its processes cannot be killed: {said.decode(errors='replace').strip()[:300]}")

    def check(self) -> None:
        """See `srl_swe.sandbox.enclosure.Enclosure.check`."""
        with talking():
            state = self._api.inspect_container(self._living())["State"]
        if not state["Running"]:
            reason = "out of memory" if state.get("OOMKilled") else f"exit code {state.get('ExitCode')}"
            raise SandboxLostError(f"the container has ended ({reason})")

    @property
    def engine_address(self) -> str:
        """Where its engine is, as in ``DOCKER_HOST``."""
        return address(self._api)

    def written_mb(self) -> float | None:
        """See `srl_swe.sandbox.enclosure.Enclosure.written_mb`."""
        if self._quota:
            return None
        api = self._api
        with talking():
            # Of this one alone, which the SDK has no call for: a list fails where another one is just being removed.
            place = api._url("/containers/{0}/json", self._living())
            found = api._result(api._get(place, params={"size": "true"}), json=True)
        return float(found.get("SizeRw") or 0) / _MIB

    def save(self, state: ShellState, *, lasting: bool = False) -> str:
        """See `srl_swe.sandbox.enclosure.Enclosure.save`."""
        if self._spec.read_only:
            raise SandboxError("a sandbox with a read-only system keeps its files in volumes: it has no snapshots")
        kept = (LASTING_LABELS if lasting else labels("snapshot")) | {
            DIRECTORY_LABEL: _encode(state.directory),
            EXPORTS_LABEL: _encode(state.exports),
        }
        changes = [f'LABEL {name}="{value}"' for name, value in kept.items()]
        tag = f"{self._living()[:12]}-{time.time_ns()}"
        with talking():
            self._api.commit(self.container_id, repository=SNAPSHOT_REPOSITORY, tag=tag, changes=changes, pause=True)
        return f"{SNAPSHOT_REPOSITORY}:{tag}"

    def remove(self) -> None:
        """See `srl_swe.sandbox.enclosure.Enclosure.remove`."""
        container, self.container_id = self.container_id, ""
        if container:
            # Gone already, or being removed by somebody else: the end is the same. An engine that is down keeps the
            # container; its label lets `sweep` find it.
            with contextlib.suppress(DockerException, requests.RequestException):
                self._api.remove_container(container, force=True, v=True)
        if self._proxy is not None:
            self._proxy.close()

    def _said_by(self, command: Sequence[str]) -> bytes:
        """Run a program to its end. Not by the SDK's own call, which leaves its connection open."""
        channel = ExecChannel(self._api, self._living(), command, user=self._spec.user)
        said = b""
        try:
            while piece := channel.receive(_KILL_S):
                said += piece
        finally:
            channel.hang_up()
            channel.close()
        return said

    def _living(self) -> str:
        if not self.container_id:
            raise SandboxLostError("the sandbox is closed")
        return self.container_id

    def _create(self, runtime: str) -> str:
        """Make the container, with a quota where the engine can keep one."""
        if _quotas.get(address(self._api), True):
            try:
                container = self._create_with(runtime, {"size": f"{self._spec.limits.disk_mb}m"})
            except SandboxError as error:
                if "storage" not in str(error).lower() and "quota" not in str(error).lower():
                    raise
                _quotas[address(self._api)] = False
            else:
                self._quota = True
                return container
        return self._create_with(runtime, None)

    def _create_with(self, runtime: str, storage: dict[str, str] | None) -> str:
        spec, limits = self._spec, self._spec.limits
        ulimits = {"nofile": limits.open_files, "core": 0, "fsize": limits.disk_mb * _MIB}
        if self._podman is not None:
            ulimits |= self._podman.ulimits()
        security = ["no-new-privileges", *(self._podman.security_options() if self._podman is not None else ())]
        private: dict[str, Any] = {}
        volumes = []
        if spec.read_only:
            private = {"read_only": True, "tmpfs": dict.fromkeys(("/tmp", "/var/tmp", "/run"), "")}
            volumes = [spec.workdir, f"/home/{spec.user}"]
        if self._proxy is not None:
            place = str(self._proxy.folder)
            private["mounts"] = [docker.types.Mount(MOUNT, place, type="bind", read_only=True)]
        try:
            with talking():
                host = self._api.create_host_config(
                    network_mode="none",
                    cap_drop=["ALL"],
                    security_opt=security,
                    mem_limit=limits.memory_mb * _MIB,
                    memswap_limit=limits.memory_mb * _MIB,
                    nano_cpus=int(limits.cpus * 1e9),
                    pids_limit=limits.processes,
                    init=True,
                    ulimits=[docker.types.Ulimit(name=name, soft=most, hard=most) for name, most in ulimits.items()],
                    storage_opt=storage,
                    runtime=runtime or None,
                    **private,
                )
                return str(
                    self._api.create_container(
                        spec.image,
                        # As root, so that the sandbox's user cannot end it; it has no capabilities and does nothing.
                        command=["sleep", "infinity"],
                        entrypoint=[],
                        user="0:0",
                        hostname="sandbox",
                        volumes=volumes or None,
                        host_config=host,
                        labels=labels("sandbox"),
                    )["Id"]
                )
        except ImageNotFound as error:
            raise SandboxError(f"no image {spec.image!r} on this engine") from error
        except APIError as error:
            raise SandboxError(f"the engine refused: {error}") from error


_quotas: dict[str, bool] = {}
"""Whether an engine's storage driver can limit a container's disk, by the engine's address; asked once."""


def _kept_state(api: Any, image: str) -> ShellState | None:
    """Directory and variables that a snapshot keeps; nothing for other images."""
    try:
        with talking():
            found = api.inspect_image(image)["Config"].get("Labels") or {}
    except ImageNotFound as error:
        raise SandboxError(f"no image {image!r} on this engine") from error
    if DIRECTORY_LABEL not in found:
        return None
    return ShellState(directory=_decode(found[DIRECTORY_LABEL]), exports=_decode(found.get(EXPORTS_LABEL, "")))


def _encode(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def _decode(text: str) -> str:
    return base64.b64decode(text).decode("utf-8", "surrogateescape")
