"""The only way out of a sandbox: an HTTP proxy that lets through what the sandbox's allow-list has, and nothing else.

A sandbox never gets a network interface beside its loopback. Where its specification lists hosts, a folder with the
socket of an `AllowListProxy` is mounted into it, and a `srl_swe.sandbox.network.relay.Relay` in it makes the socket
look like an HTTP proxy on its loopback. Names are resolved here, once for each connection, and the address that was
checked is the one that is connected to.

Not protected: what is inside of a tunnel (HTTPS) is not looked into, so that a host that serves several names serves
all of them; what the sandbox knows can be told to any host of the list, and through the names below a wildcard.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import shutil
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from srl_swe.errors import SandboxError
from srl_swe.sandbox.network.allow_list import AllowList, is_loopback, parse_allowed, refusal
from srl_swe.sandbox.network.exchange import Exchange, hang_up, linger
from srl_swe.sandbox.network.messages import HEAD_BYTES, ProxyError, ProxyRequest, own_answer, parse_request, read_head
from srl_swe.sandbox.network.relay import SOCKET_NAME
from srl_swe.sandbox.owners import is_dead, this_process

IDLE_S = 120.0
"""How long nothing may move in an exchange before it is ended."""
CONNECTIONS = 512
"""Most connections a proxy has at a time; the relay opens no more than half of them."""

_FOLDER_PREFIX = "srl-swe-net-"
_OWNER_FILE = "owner"
_HEAD_S = 30.0
_CONNECT_S = 10.0
_CALL_S = 30.0
_LONGEST_ROOT = 60
_REFUSALS_KEPT = 256
_log = logging.getLogger(__name__)


class AllowListProxy:
    """A proxy for one sandbox, or for several with the same list. Its connections are served by one thread a process.

    Attributes:
        allowed: What it lets through.
        folder: What is mounted at `srl_swe.sandbox.network.relay.MOUNT`; holds nothing but the socket.
        refused: How often what was asked for and is not listed; after 256 different ones the rest is under ``…``.
        served: How many requests and tunnels were let through.
    """

    def __init__(self, entries: Sequence[str] | AllowList, *, idle_s: float = IDLE_S) -> None:
        """Start to listen.

        Args:
            entries: As `parse_allowed` takes them.
            idle_s: How long nothing may move in an exchange.

        Raises:
            ConfigError: an entry is wrong.
            SandboxError: there is no place for the socket.
        """
        self.allowed = entries if isinstance(entries, AllowList) else parse_allowed(entries)
        self.refused: Counter[str] = Counter()
        self.served = 0
        self._idle_s = idle_s
        self._process = os.getpid()
        self._running: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._serving: _ServingThread | None = None
        self._place = _make_place()
        self.folder = self._place / "socket"
        try:
            # The folder above is closed to other users of this machine; this one is open to the user in the sandbox.
            self.folder.mkdir(mode=0o755)
            self.folder.chmod(0o755)
            self._serving = _ServingThread.borrow()
            self._serving.call(self._listen())
        except OSError as error:
            self.close()
            raise SandboxError(f"the allow-list proxy cannot listen in {self.folder}: {error}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all connections and remove the folder. May be called again; in a forked process it does nothing."""
        if self._process != os.getpid():
            return
        serving, self._serving = self._serving, None
        try:
            if serving is not None:
                serving.call(self._end())
        finally:
            if serving is not None:
                serving.release()
            shutil.rmtree(self._place, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _listen(self) -> None:
        path = self.folder / SOCKET_NAME
        self._server = await asyncio.start_unix_server(self._welcome, path, limit=HEAD_BYTES, backlog=CONNECTIONS)
        path.chmod(0o666)

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the one request of a connection."""
        try:
            try:
                if len(self._running) > CONNECTIONS:
                    raise ProxyError(503, f"more than {CONNECTIONS} connections at a time")
                await self._answer(reader, writer)
            except ProxyError as error:
                writer.write(own_answer(error.status, str(error)))
                await linger(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        except (OSError, EOFError):
            pass  # one of both has gone: so has the exchange
        except Exception:
            _log.exception("an exchange of the allow-list proxy failed")
        finally:
            await hang_up(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(read_head(reader), _HEAD_S)
        except TimeoutError:
            raise ProxyError(408, f"no request in {_HEAD_S:.0f} seconds") from None
        if not head:
            return
        request = parse_request(head)
        if not self.allowed.permits(request.host, request.port):
            self._count_refusal(request.authority)
            raise ProxyError(403, self._not_listed(request))
        server_reader, server_writer = await self._connect(request)
        self.served += 1
        exchange = Exchange(reader, writer, server_reader, server_writer, idle_s=self._idle_s)
        try:
            await exchange.run(request)
        except asyncio.CancelledError:
            server_writer.transport.abort()
            raise
        finally:
            await hang_up(server_writer)

    async def _connect(self, request: ProxyRequest) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to where the name leads now, if all that it leads to may be connected to."""
        addresses = await _addresses(request.host, request.port)
        for address in addresses:
            if why := refusal(request.host, ipaddress.ip_address(address)):
                self._count_refusal(request.authority)
                raise ProxyError(403, f"{request.authority} is listed, but {why}")
        failure: OSError = OSError("no address")
        for address in addresses[:4]:
            try:
                opening = asyncio.open_connection(address, request.port, limit=HEAD_BYTES)
                return await asyncio.wait_for(opening, _CONNECT_S)
            except OSError as error:  # a TimeoutError too
                failure = error
        reason = str(failure) or f"no connection in {_CONNECT_S:.0f} seconds"
        raise ProxyError(502, f"{request.authority} cannot be reached: {reason}")

    def _count_refusal(self, asked: str) -> None:
        if asked not in self.refused:
            _log.info("a sandbox asked for %s, which its allow-list does not have", asked)
            asked = asked if len(self.refused) < _REFUSALS_KEPT else "…"
        self.refused[asked] += 1

    def _not_listed(self, request: ProxyRequest) -> str:
        text = (
            f"The sandbox asked for {request.authority}, which its allow-list does not have.\n"
            f"Allowed: {', '.join(self.allowed.entries) or 'nothing'}."
        )
        if self.allowed.has_host(request.host) and is_loopback(request.host):
            text += f"\n{request.host} is listed and means the host: what runs in the sandbox answers to other names."
        return text


def remove_left_over_folders() -> int:
    """Remove the folders of proxies whose process died without closing them; return how many."""
    removed = 0
    for root in {Path(tempfile.gettempdir()), Path("/tmp")}:
        for place in root.glob(f"{_FOLDER_PREFIX}*"):
            with contextlib.suppress(OSError):
                if place.stat().st_uid == os.getuid() and is_dead((place / _OWNER_FILE).read_text()):
                    shutil.rmtree(place)
                    removed += 1
    return removed


class _ServingThread:
    """The event loop that serves all proxies of this process; ends with the last of them."""

    _current: ClassVar[_ServingThread | None] = None
    _inherited: ClassVar[list[_ServingThread]] = []
    _changing = threading.Lock()

    def __init__(self) -> None:
        self._process = os.getpid()
        self._users = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="srl-swe-network", daemon=True)
        self._thread.start()

    @classmethod
    def borrow(cls) -> _ServingThread:
        """Return the one that runs, or start it."""
        with cls._changing:
            current = cls._current
            if current is not None and current._process != os.getpid():
                # Its thread stayed behind in the process that this one was forked from. Not to be collected: it would
                # complain about its loop, which is not ours to close.
                cls._inherited.append(current)
                current = None
            cls._current = current = current or cls()
            current._users += 1
            return current

    def release(self) -> None:
        """Stop it if nobody else uses it."""
        with self._changing:
            self._users -= 1
            if self._users:
                return
            type(self)._current = None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_S)
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something on the loop and wait for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_S)


async def _addresses(host: str, port: int) -> list[str]:
    """Where a host is now."""
    if host == "localhost":
        return ["127.0.0.1", "::1"]
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    try:
        looking = asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = await asyncio.wait_for(looking, _CONNECT_S)
    except (OSError, UnicodeError) as error:
        raise ProxyError(502, f"no address of {host} can be found: {error or 'no answer in time'}") from error
    return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))


def _make_place() -> Path:
    """Make a folder whose path leaves room for a socket's name: the system allows 108 bytes for all of it."""
    for root in (tempfile.gettempdir(), "/tmp"):
        if len(os.fsencode(root)) < _LONGEST_ROOT:
            try:
                place = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=root))
                (place / _OWNER_FILE).write_text(this_process())
            except OSError as error:
                raise SandboxError(f"no folder for the allow-list proxy can be made in {root}: {error}") from error
            return place
    raise SandboxError("no folder for the allow-list proxy: the paths of TMPDIR and /tmp are too long for a socket")
