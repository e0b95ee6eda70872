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
import io
import posixpath
import tarfile
import threading
import time
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from srl_swe.errors import SandboxError, SandboxLostError
from srl_swe.records import CommandResult
from srl_swe.sandbox.engine import connect
from srl_swe.sandbox.owners import KIND_LABEL, OWNER_LABEL, this_process
from srl_swe.sandbox.protocol import DEFAULT_TIMEOUT_S, TIMEOUT_EXIT_CODE, SandboxLimits
from srl_swe.sandbox.session import ShellSession

DIRECTORY_LABEL = "srl_swe.directory"
EXPORTS_LABEL = "srl_swe.exports"
SNAPSHOT_REPOSITORY = "srl-swe/snapshot"

# Kills what the user may kill but the shell itself, in three rounds against processes that are forking.
_KILL_COMMANDS = """\
for round in 1 2 3; do
  for p in /proc/[0-9]*; do
    p=${p#/proc/}
    [ "$p" = 1 ] || [ "$p" = $$ ] || [ "$p" = "$1" ] || kill -9 "$p" 2>/dev/null
  done
done
"""

_lock = threading.Lock()
_client: docker.DockerClient | None = None
_open: weakref.WeakSet[DockerSandbox] = weakref.WeakSet()


def shared_client() -> docker.DockerClient:
    """The process's own client, made on first use and again after a fork."""
    global _client
    with _lock:
        if _client is None or getattr(_client, "srl_swe_owner", None) != this_process():
            _client = connect()
            _client.srl_swe_owner = this_process()  # type: ignore[attr-defined]
        return _client


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
        self._container = ""
        self._ids = (0, 0)
        try:
            kept = self._kept_state(image)
            self._container = self._start(image, limits, labels or {})
            _open.add(self)
            self._open_shell(kept.get(DIRECTORY_LABEL) or workdir, kept.get(EXPORTS_LABEL, ""))
            numbers = self.run("id -u; id -g", timeout_s=30).output.split()
            self._ids = (int(numbers[0]), int(numbers[1]))
        except BaseException:
            self.close()
            raise

    def run(self, command: str, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> CommandResult:
        """See `Sandbox.run`."""
        start = time.monotonic()
        shell = self._living_shell()
        outcome = shell.run(command, timeout_s=timeout_s, limit=self._limits.output_chars, stop=self._kill_commands)
        if not outcome.alive:
            exit_code = outcome.exit_code
            if exit_code is None and not outcome.timed_out:
                exit_code = self._shell_exit_code()
            if outcome.timed_out:  # the shell itself is busy
                self._execute(["bash", "--noprofile", "--norc", "-c", "kill -9 -1"])
            self._reopen_shell(shell)
        else:
            exit_code = outcome.exit_code
        return CommandResult(
            output=outcome.text,
            exit_code=TIMEOUT_EXIT_CODE if outcome.timed_out or exit_code is None else exit_code,
            timed_out=outcome.timed_out,
            truncated=outcome.truncated,
            seconds=time.monotonic() - start,
        )

    def read_file(self, path: str) -> bytes:
        """See `Sandbox.read_file`."""
        place = self._absolute(path)
        for _ in range(10):
            try:
                with self._talking():
                    chunks, _ = self._api.get_archive(self._container, place)
                    data = b"".join(chunks)
            except NotFound as error:
                self._check_alive()
                raise SandboxError(f"{path}: no such file in the sandbox") from error
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                member = archive.next()
                if member is not None and member.issym():
                    place = posixpath.join(posixpath.dirname(place), member.linkname)
                    continue
                file = archive.extractfile(member) if member is not None and member.isfile() else None
                if file is None:
                    raise SandboxError(f"{path}: not a regular file in the sandbox")
                return file.read()
        raise SandboxError(f"{path}: too many symbolic links")

    def write_file(self, path: str, data: bytes) -> None:
        """See `Sandbox.write_file`."""
        folder, name = posixpath.split(self._absolute(path))
        if not name:
            raise SandboxError(f"{path}: names a folder, not a file")
        made = self._living_shell().run(
            f"command -p mkdir -p -- {_quoted(folder)}", timeout_s=30, limit=2000, stop=self._kill_commands
        )
        if made.exit_code != 0:
            raise SandboxError(f"{path}: its folder cannot be made: {made.text.strip()}")
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(data), int(time.time()), 0o644
            member.uid, member.gid = self._ids
            archive.addfile(member, io.BytesIO(data))
        try:
            with self._talking():
                self._api.put_archive(self._container, folder, buffer.getvalue())
        except (NotFound, APIError) as error:
            self._check_alive()
            raise SandboxError(f"{path}: cannot be written: {_reason(error)}") from error

    def snapshot(self) -> str:
        """See `Sandbox.snapshot`. The image is removed by `remove_snapshot`, or by `sweep` once its owner is gone."""
        shell = self._living_shell()
        listed = shell.run("export -p", timeout_s=30, limit=200_000, stop=self._kill_commands)
        labels = {
            KIND_LABEL: "snapshot",
            OWNER_LABEL: this_process(),
            DIRECTORY_LABEL: _encode(shell.directory),
            EXPORTS_LABEL: _encode(listed.text),
        }
        changes = [f'LABEL {name}="{value}"' for name, value in labels.items()]
        tag = f"{self._container[:12]}-{time.time_ns()}"
        with self._talking():
            self._api.commit(self._container, repository=SNAPSHOT_REPOSITORY, tag=tag, changes=changes, pause=True)
        return f"{SNAPSHOT_REPOSITORY}:{tag}"

    def close(self) -> None:
        """See `Sandbox.close`."""
        self._close_shell()
        container, self._container = self._container, ""
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
            with self._talking():
                config = self._api.inspect_image(image)["Config"]
        except ImageNotFound as error:
            raise SandboxError(f"no image {image!r} on this engine") from error
        labels = config.get("Labels") or {}
        return {name: _decode(labels[name]) for name in (DIRECTORY_LABEL, EXPORTS_LABEL) if name in labels}

    def _start(self, image: str, limits: SandboxLimits, labels: dict[str, str]) -> str:
        memory = limits.memory_mb * 1024 * 1024
        with self._talking():
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
            self._container = container
            self._api.start(container)
        return container

    def _open_shell(self, directory: str, exports: str) -> None:
        with self._talking():
            created = self._api.exec_create(
                self._container, ["bash", "--noprofile", "--norc"], stdin=True, tty=False, user=self._user
            )
            self._stream = self._api.exec_start(created["Id"], socket=True)
            self._exec = created["Id"]
        self._shell = ShellSession(getattr(self._stream, "_sock", self._stream), directory, exports)

    def _close_shell(self) -> None:
        stream, self._stream = self._stream, None
        shell, self._shell = self._shell, None
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
            raise SandboxLostError("the sandbox is closed")
        return self._shell

    def _shell_exit_code(self) -> int | None:
        """Exit code of a shell that ended without a word, such as one that was killed or replaced by ``exec``."""
        with contextlib.suppress(SandboxError):
            for _ in range(50):
                with self._talking():
                    state = self._api.exec_inspect(self._exec)
                if not state["Running"]:
                    return int(state["ExitCode"])
                time.sleep(0.02)
        return None

    def _kill_commands(self) -> None:
        """Kill what the user may kill but the shell itself."""
        self._execute(["bash", "--noprofile", "--norc", "-c", _KILL_COMMANDS, "kill", str(self._living_shell().pid)])

    def _execute(self, command: list[str]) -> None:
        with self._talking():
            created = self._api.exec_create(self._container, command, user=self._user)
            self._api.exec_start(created["Id"])

    def _absolute(self, path: str) -> str:
        return posixpath.join(self._living_shell().directory, path)

    def _check_alive(self) -> None:
        with self._talking():
            state = self._api.inspect_container(self._container)["State"]
        if not state["Running"]:
            reason = "out of memory" if state.get("OOMKilled") else f"exit code {state.get('ExitCode')}"
            raise SandboxLostError(f"the container has ended ({reason})")

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        """Turn the engine's failures into ours; what a caller tells apart itself passes."""
        try:
            yield
        except ImageNotFound:
            raise
        except NotFound as error:
            text = str(error).lower()
            if ("container" in text or "exec instance" in text) and "could not find the file" not in text:
                raise SandboxLostError(f"the container is gone: {_reason(error)}") from error
            raise
        except (APIError, DockerException) as error:
            raise SandboxError(f"the engine refused: {_reason(error)}") from error
        except (requests.RequestException, OSError) as error:
            raise SandboxLostError(f"the engine does not answer: {_reason(error)}") from error


def remove_image(image: str) -> None:
    """Remove a snapshot's image; one that is gone, or still in use, is left to `sweep`."""
    with contextlib.suppress(DockerException, requests.RequestException):
        shared_client().api.remove_image(image, force=True)


@atexit.register
def _close_all() -> None:
    for sandbox in list(_open):
        sandbox.close()


def _reason(error: Exception) -> str:
    explanation = getattr(error, "explanation", None)
    return " ".join(str(explanation or error).split())[:300]


def _encode(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def _decode(text: str) -> str:
    return base64.b64decode(text).decode("utf-8", "surrogateescape")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
