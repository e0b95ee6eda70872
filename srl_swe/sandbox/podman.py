"""What is different where the engine is Podman: what its Docker API leaves out without a word."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import resource
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srl_swe.errors import ConfigError, SandboxError
from srl_swe.files import write_atomically
from srl_swe.sandbox.cache import cache_dir
from srl_swe.sandbox.calls import address, talking
from srl_swe.sandbox.protocol import SandboxLimits

_PROFILES = ("/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json")
"""Where Podman's profile of system calls is, the first of them that is there."""
# What Docker's profile keeps from programs without capabilities, and Podman's does not: new namespaces above all.
# fmt: off
_FORBIDDEN = frozenset((
    "add_key", "bpf", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "keyctl", "lookup_dcookie",
    "mount", "mount_setattr", "move_mount", "name_to_handle_at", "open_tree", "perf_event_open", "pivot_root",
    "quotactl", "quotactl_fd", "request_key", "setdomainname", "sethostname", "setns", "syslog", "umount",
    "umount2", "unshare", "userfaultfd",
))
# fmt: on
_NEW_NAMESPACES = 0x7E020000
"""The flags of ``clone`` that ask for one; ``clone3`` keeps them where no profile can see them."""
_PROCESSES = 1 << 15
_BLOCK = 512
_PATIENT = 'IFS= read -r _; exec "$@"'
_WITH_LIMITS = 'IFS= read -r _; ulimit -c 0; ulimit -n "$1"; ulimit -f "$2"; shift 2; exec "$@"'
"""In POSIX's shell; ``-f`` counts in blocks."""
GO = b"\n"
"""What a command made by `PodmanTraits.patient` waits for."""


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

    def security_options(self) -> list[str]:
        """Return what makes its profile of system calls as strict as Docker's; nothing where it cannot be read."""
        return [f"seccomp={profile}"] if (profile := _strict_profile()) is not None else []

    def ulimits(self) -> dict[str, int]:
        """Return what the engine has to be told besides, lest it asks for more than it may give.

        Where it is told any limit, it sets this one to a million, which takes a capability that root may lack. The
        kernel counts the processes of all sandboxes together, so that it cannot be the sandbox's own limit.
        """
        if self.rootless:
            return {}
        _, own = resource.getrlimit(resource.RLIMIT_NPROC)
        return {"nproc": _PROCESSES if own == resource.RLIM_INFINITY else min(_PROCESSES, own)}

    def patient(self, command: Sequence[str], limits: SandboxLimits) -> Sequence[str]:
        """Return a command that waits for `GO` on its input, and sets the limits itself where the engine drops them.

        What a program says before Podman has connected itself to it is lost, once in a hundred times.
        """
        if not self.rootless:
            return ("sh", "-c", _PATIENT, "sh", *command)
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


@functools.cache
def _strict_profile() -> Path | None:
    """Return a file with this machine's profile, without what a sandbox has no use for. Podman takes files only."""
    found = next((path for path in map(Path, _PROFILES) if path.is_file()), None)
    if found is None:
        return None
    profile = json.loads(found.read_text())
    for rule in profile["syscalls"]:
        if rule["action"] == "SCMP_ACT_ALLOW":
            rule["names"] = [name for name in rule["names"] if name not in _FORBIDDEN | {"clone", "clone3"}]
    refused = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ERRNO" for name in rule["names"]}
    masked = {"index": 0, "value": _NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    profile["syscalls"] = [rule for rule in profile["syscalls"] if rule["names"]] + [
        {"names": sorted(_FORBIDDEN - refused), "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [masked]},
        # As if the kernel had none: the C library falls back to the other.
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
    ]
    content = json.dumps(profile)
    kept = cache_dir() / f"podman-seccomp-{hashlib.sha256(content.encode()).hexdigest()[:16]}.json"
    if not kept.exists():
        write_atomically(kept, content)
    return kept
