"""What is different where the engine is Podman: what its Docker API leaves out without a word."""

from __future__ import annotations

import resource
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from srl_swe.errors import ConfigError, SandboxError
from srl_swe.sandbox.calls import address, talking
from srl_swe.sandbox.protocol import SandboxLimits

_PROCESSES = 1 << 15
_BLOCK = 512
_WITH_LIMITS = 'ulimit -c 0; ulimit -n "$1"; ulimit -f "$2"; shift 2; exec "$@"'
"""In POSIX's shell; ``-f`` counts in blocks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodmanTraits:
    """How one Podman service is set up."""

    runtime: str
    """The OCI runtime of all of its containers."""
    rootless: bool = False
    """Whether it runs as another user than root."""
    limits: bool = True
    """Whether it can limit memory, processors and processes."""

    def check(self, runtime: str) -> None:
        """Return if sandboxes can be had as they were asked for: this engine would make others, and say nothing.

        Raises:
            ConfigError: it has another OCI runtime.
            SandboxError: it limits nothing.
        """
        if runtime and runtime != self.runtime:
            raise ConfigError(
                f"backend: this Podman runs its containers with {self.runtime}, not {runtime}; its service has one "
                f"runtime for all of them: docker/podman.sh stop, then docker/podman.sh start {runtime}"
            )
        if not self.limits:
            raise SandboxError(
                "this Podman is rootless and cannot limit memory, processors and processes: that takes cgroup v2 and "
                "systemd; run it as root, or use another backend"
            )

    def ulimits(self) -> dict[str, int]:
        """Return what the engine has to be told besides, lest it asks for more than it may give.

        Where it is told any limit, it sets this one to a million, which takes a capability that root may lack. The
        kernel counts the processes of all sandboxes together, so that it cannot be the sandbox's own limit.
        """
        if self.rootless:
            return {}
        _, own = resource.getrlimit(resource.RLIMIT_NPROC)
        return {"nproc": _PROCESSES if own == resource.RLIM_INFINITY else min(_PROCESSES, own)}

    def limited(self, command: Sequence[str], limits: SandboxLimits) -> Sequence[str]:
        """Return a command that sets the limits itself where the engine drops them."""
        if not self.rootless:
            return command
        blocks = limits.disk_mb * (1 << 20) // _BLOCK
        return ("sh", "-c", _WITH_LIMITS, "sh", str(limits.open_files), str(blocks), *command)


_lock = threading.Lock()
_known: dict[str, PodmanTraits | None] = {}


def podman_traits(api: Any) -> PodmanTraits | None:
    """Return what is to be known of an engine that is Podman, ``None`` for others; asked once for each address.

    Raises:
        SandboxLostError: it does not answer.
    """
    with _lock:
        place = address(api)
        if place not in _known:
            with talking():
                _known[place] = _ask(api) if _is_podman(api) else None
        return _known[place]


def _is_podman(api: Any) -> bool:
    """Its own API's version is in the headers of a ping; everything else costs it a tenth of a second and more."""
    answer = api._get(api._url("/_ping", versioned_api=False))
    answer.raise_for_status()
    return "Libpod-Api-Version" in answer.headers


def _ask(api: Any) -> PodmanTraits:
    found = api.info()
    rootless = bool(found.get("Rootless"))
    # What it says of its limits (MemoryLimit and so on) is what the kernel can do, and not what it does.
    delegated = str(found.get("CgroupVersion")) == "2" and found.get("CgroupDriver") == "systemd"
    return PodmanTraits(
        runtime=str(found.get("DefaultRuntime") or ""), rootless=rootless, limits=not rootless or delegated
    )
