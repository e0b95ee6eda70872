"""The ``docker`` backend: one container a sandbox, over the Docker API (Docker Engine 20.10 or later, or Podman's).

Protected by default: no network; all capabilities dropped; no new privileges; the engine's seccomp profile; limits on
memory, CPU, processes and open files; commands run as the image's user ``agent``.

Not protected: the kernel is shared with the host, so that a kernel bug is a way out (use a VM or gVisor as the
engine's runtime against that); disk space, where the storage driver has no quotas; timing and load that other
containers can notice. What runs in a sandbox can read all of its image.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import posixpath
import time
import weakref
from types import TracebackType
from typing import Any, Self

import docker
import requests
from docker.errors import DockerException, ImageNotFound

from srl_swe.errors import SandboxError, SandboxLostError
from srl_swe.records import CommandResult
from srl_swe.sandbox import archives
from srl_swe.sandbox.calls import close_client, shared_client, talking
from srl_swe.sandbox.owners import KIND_LABEL, OWNER_LABEL, this_process
from srl_swe.sandbox.protocol import DEFAULT_TIMEOUT_S, KILLED_EXIT_CODE, TIMEOUT_EXIT_CODE, SandboxLimits
from srl_swe.sandbox.session import SHELL, ShellSession

DIRECTORY_LABEL = "srl_swe.directory"
EXPORTS_LABEL = "srl_swe.exports"
SNAPSHOT_REPOSITORY = "srl-swe/snapshot"

# Kills what the user may kill but the processes named. Stopped first, all at once, so that nothing forks meanwhile; in
# builtins only, because a fork bomb leaves no room for another process.
_KILL_COMMANDS = """\
kill -STOP -1
for p in /proc/[0-9]*; do
  p=${p#/proc/}
  case " 1 $$ $* " in *" $p "*) ;; *) kill -9 "$p" ;; esac
done
kill -CONT "$@"
"""
_KILL_ALL = "kill -9 -1"

_open: weakref.WeakSet[DockerSandbox] = weakref.WeakSet()


class DockerSandbox:
    """A `Sandbox` in a container of its own. Use `srl_swe.sandbox.open_sandbox`."""

    def __init__(
        self, image: str, *, workdir: str, limits: SandboxLimits, user: str, labels: dict[str, str] | None = None
    ) -> None:
        self._api: Any = shared_client().api
        self._limits = limits
        self._user = user
        self._shell: ShellSession | None = None
        self._stream: Any = None
        self.container_id = ""
        self._ids = (0, 0)
        self._interrupted = False
        try:
            kept = self._kept_state(image)
            self.container_id = self._start(image, limits, labels or {})
            _open.add(self)
            self._open_shell(kept.get(DIRECTORY_LABEL) or workdir, kept.get(EXPORTS_LABEL, ""))
            numbers = self.run("id -u; id -g", timeout_s=30).output.split()
            self._ids = (int(numbers[0]), int(numbers[1]))
        except BaseException:
            self.close()
            raise

    def run(self, command: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> CommandResult:
        """See `Sandbox.run`."""
        if "\0" in command:
            raise SandboxError("a command cannot hold a NUL character")
        start = time.monotonic()
        shell = self._idle_shell()
        self._interrupted = True  # stays so where this is left by an exception, Ctrl-C for example
        outcome = shell.run(command, timeout_s=timeout_s, stop=self._kill_commands)
        self._interrupted = False
        if not outcome.taken:
            self._reopen_shell(shell)
            return self.run(command, timeout_s=timeout_s)
        if not outcome.alive:
            if outcome.timed_out:  # the shell itself is busy
                self._execute(_KILL_ALL)
            self._reopen_shell(shell)
        # Without a word from the session, all its processes were killed.
        exit_code = KILLED_EXIT_CODE if outcome.exit_code is None else outcome.exit_code
        return CommandResult(
            output=outcome.text,
            exit_code=TIMEOUT_EXIT_CODE if outcome.timed_out else exit_code,
            timed_out=outcome.timed_out,
            truncated=outcome.truncated,
            seconds=time.monotonic() - start,
        )

    def read_file(self, path: str) -> bytes:
        """See `Sandbox.read_file`."""
        place = self._absolute(path)
        try:
            return archives.read(self._api, self.container_id, place)
        except SandboxError:
            self._check_alive()
            raise

    def write_file(self, path: str, data: bytes) -> None:
        """See `Sandbox.write_file`. Written by the engine: no permission in the sandbox is in the way."""
        place = self._absolute(path)
        try:
            try:
                archives.write(self._api, self.container_id, place, data, owner=self._ids)
            except archives.FolderMissingError:
                self._execute('mkdir -p -- "$1"', posixpath.dirname(place))
                archives.write(self._api, self.container_id, place, data, owner=self._ids)
        except SandboxError:
            self._check_alive()
            raise

    def snapshot(self) -> str:
        """See `Sandbox.snapshot`. The image is removed by `remove_snapshot`, or by `sweep` once its owner is gone."""
        shell = self._idle_shell()
        labels = {
            KIND_LABEL: "snapshot",
            OWNER_LABEL: this_process(),
            DIRECTORY_LABEL: _encode(shell.directory),
            EXPORTS_LABEL: _encode(shell.exports),
        }
        changes = [f'LABEL {name}="{value}"' for name, value in labels.items()]
        tag = f"{self.container_id[:12]}-{time.time_ns()}"
        with talking():
            self._api.commit(self.container_id, repository=SNAPSHOT_REPOSITORY, tag=tag, changes=changes, pause=True)
        return f"{SNAPSHOT_REPOSITORY}:{tag}"

    def close(self) -> None:
        """See `Sandbox.close`."""
        self._close_shell()
        container, self.container_id = self.container_id, ""
        _open.discard(self)
        if container:
            # Gone already, or being removed by somebody else: the end is the same. An engine that is down keeps the
            # container; its label lets `sweep` find it.
            with contextlib.suppress(DockerException, requests.RequestException):
                self._api.remove_container(container, force=True, v=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _kept_state(self, image: str) -> dict[str, str]:
        """Directory and variables that a snapshot keeps; nothing for other images."""
        try:
            with talking():
                config = self._api.inspect_image(image)["Config"]
        except ImageNotFound as error:
            raise SandboxError(f"no image {image!r} on this engine") from error
        labels = config.get("Labels") or {}
        return {name: _decode(labels[name]) for name in (DIRECTORY_LABEL, EXPORTS_LABEL) if name in labels}

    def _start(self, image: str, limits: SandboxLimits, labels: dict[str, str]) -> str:
        memory = limits.memory_mb * 1024 * 1024
        with talking():
            host = self._api.create_host_config(
                network_mode="none",
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                mem_limit=memory,
                memswap_limit=memory,
                nano_cpus=int(limits.cpus * 1e9),
                pids_limit=limits.processes,
                init=True,
                ulimits=[
                    docker.types.Ulimit(name="nofile", soft=limits.open_files, hard=limits.open_files),
                    docker.types.Ulimit(name="core", soft=0, hard=0),
                ],
            )
            container: str = self._api.create_container(
                image,
                # As root, so that the sandbox's user cannot end it; it has no capabilities and does nothing.
                command=["sleep", "infinity"],
                entrypoint=[],
                user="0:0",
                host_config=host,
                labels={**labels, KIND_LABEL: "sandbox", OWNER_LABEL: this_process()},
            )["Id"]
            self.container_id = container
            self._api.start(container)
        return container

    def _open_shell(self, directory: str, exports: str) -> None:
        with talking():
            created = self._api.exec_create(self.container_id, list(SHELL), stdin=True, tty=False, user=self._user)
            self._stream = self._api.exec_start(created["Id"], socket=True)
        connection = getattr(self._stream, "_sock", self._stream)
        try:
            self._shell = ShellSession(connection, directory, exports, self._limits.output_chars)
        except SandboxLostError:
            raise
        except SandboxError as error:
            # What the engine says of an unknown user may have gone with the response's headers.
            raise SandboxError(f"{error} (as user {self._user!r})") from error

    def _close_shell(self) -> None:
        stream, self._stream = self._stream, None
        shell, self._shell = self._shell, None
        if shell is not None:
            shell.hang_up()  # first: once the stream is closed, it is too late
        if stream is not None:
            # From the outside in: the response reads from the stream, and the stream from the shell's socket.
            response = getattr(stream, "_response", None)
            if response is not None:
                response.close()
            stream.close()
        if shell is not None:
            shell.close()

    def _reopen_shell(self, shell: ShellSession) -> None:
        """Go on in a new shell where the old one was; in the first folder above that is still there."""
        directory, exports = shell.directory, shell.exports
        self._close_shell()
        self._check_alive()
        while True:
            try:
                return self._open_shell(directory, exports)
            except SandboxLostError:
                raise
            except SandboxError:
                self._close_shell()
                if directory in ("/", ""):
                    raise
                directory = posixpath.dirname(directory)

    def _living_shell(self) -> ShellSession:
        if self._shell is None:
            raise SandboxLostError("the container is gone" if self.container_id else "the sandbox is closed")
        return self._shell

    def _idle_shell(self) -> ShellSession:
        """The shell, or another one where it ended by itself or its last command was never waited for."""
        shell = self._living_shell()
        if self._interrupted:
            self._execute(_KILL_ALL)
            self._interrupted = False
        elif shell.idle():
            return shell
        self._reopen_shell(shell)
        return self._living_shell()

    def _kill_commands(self) -> None:
        """Kill what the user may kill but the session itself."""
        self._execute(_KILL_COMMANDS, *self._living_shell().pids)

    def _execute(self, script: str, *arguments: str) -> None:
        """Run a script beside the session, as the user."""
        command = ["bash", "--noprofile", "--norc", "-c", script, "bash", *arguments]
        with talking():
            created = self._api.exec_create(self.container_id, command, user=self._user)
            self._api.exec_start(created["Id"])

    def _absolute(self, path: str) -> str:
        return posixpath.join(self._living_shell().directory, path)

    def _check_alive(self) -> None:
        with talking():
            state = self._api.inspect_container(self.container_id)["State"]
        if not state["Running"]:
            reason = "out of memory" if state.get("OOMKilled") else f"exit code {state.get('ExitCode')}"
            raise SandboxLostError(f"the container has ended ({reason})")


def remove_image(image: str) -> None:
    """Remove a snapshot's image; one that is gone, or still in use, is left to `sweep`."""
    with contextlib.suppress(DockerException, requests.RequestException):
        shared_client().api.remove_image(image, force=True)


@atexit.register
def _close_all() -> None:
    for sandbox in list(_open):
        sandbox.close()
    close_client()


def _encode(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def _decode(text: str) -> str:
    return base64.b64decode(text).decode("utf-8", "surrogateescape")
