"""A small process that outlives its owner and removes what it left on the engine, at once.

Run by file, it needs nothing but the standard library, so that it starts in no time and stays small. It is a help, not
a promise: where it was killed too, and on engines that are not reached by a local socket, the next sweep does the same.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import socket
import sys
import threading
import time
import urllib.parse
from pathlib import Path
from typing import Any

_started: set[tuple[int, str]] = set()
_lock = threading.Lock()
_POLL_S = 1.0
_PASSES_S = (0.3, 3.0)
"""When it looks, after the owner's end: the engine finishes the creation of a container whose client has gone."""


def watch(address: str, owner: str, owner_label: str) -> None:
    """Start the process for this one, once for each engine.

    Args:
        address: The engine's, as in ``DOCKER_HOST``; nothing is done for those that are no local socket.
        owner: What this process's things are labelled with.
        owner_label: The label's name.
    """
    path = urllib.parse.unquote(address.removeprefix("unix://").removeprefix("http+unix://"))
    with _lock:
        if (os.getpid(), path) in _started or not Path(path).is_socket() or not Path("/proc/self/stat").exists():
            return
        _started.add((os.getpid(), path))
    nowhere = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in (0, 1, 2)]
    command = [sys.executable, "-I", "-S", __file__, str(os.getpid()), path, owner_label, owner]
    # Without the SDK's or a shell's process object: nobody waits for it. In a session of its own, so that Ctrl-C and a
    # signal to the process group do not reach it.
    with contextlib.suppress(OSError):
        os.posix_spawn(sys.executable, command, os.environ, file_actions=nowhere, setsid=True)


def main(pid: int, path: str, owner_label: str, owner: str) -> None:
    """Wait for the owner's end, then remove all that has its label."""
    if os.getppid() == pid:  # otherwise it has ended already
        _wait(pid)
    filters = urllib.parse.quote(json.dumps({"label": [f"{owner_label}={owner}"]}))
    for pause_s in _PASSES_S:
        time.sleep(pause_s)
        for container in _ask(path, "GET", f"/containers/json?all=1&filters={filters}"):
            _ask(path, "DELETE", f"/containers/{container['Id']}?force=1&v=1")
        images = _ask(path, "GET", f"/images/json?filters={filters}")
        for image in sorted(images, key=lambda found: -int(found["Created"])):
            for tag in image.get("RepoTags") or [image["Id"]]:
                _ask(path, "DELETE", f"/images/{urllib.parse.quote(tag, safe='')}")


def _wait(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        while os.getppid() == pid:
            time.sleep(_POLL_S)
        return
    select.select([descriptor], [], [])


def _ask(path: str, method: str, place: str) -> list[dict[str, Any]]:
    """One request to the engine; an answer that is no list counts as an empty one."""
    connection = http.client.HTTPConnection("localhost", timeout=120)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.settimeout(120)
        connection.sock.connect(path)
        connection.request(method, place)
        answer = json.loads(connection.getresponse().read() or b"[]")
    except (OSError, ValueError, http.client.HTTPException):
        return []
    finally:
        connection.close()
    return answer if isinstance(answer, list) else []


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:5])
