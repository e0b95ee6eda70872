"""The sandbox's end of the way to its proxy: a program in it that listens on its loopback and passes bytes on.

The sandbox has no network, only the folder of an `srl_swe.sandbox.network.AllowListProxy`, mounted read-only. Programs
know no unix sockets, so that the relay makes one look like the HTTP proxy that ``HTTP_PROXY`` and the like name.
"""

from __future__ import annotations

import logging
import shlex
import time

from srl_swe.errors import SandboxError, SandboxLostError
from srl_swe.sandbox.enclosure import Channel, Enclosure
from srl_swe.sandbox.network.allow_list import LOOPBACK_NAMES, AllowList

MOUNT = "/run/srl-swe-net"
"""Where the proxy's folder is in the sandbox."""
SOCKET_NAME = "proxy.sock"
"""The socket in that folder."""
RELAY_PORT = 3128
"""Where the relay listens: always the same, so that variables of a snapshot stay true, and outside of the range from
which the system takes ports for outgoing connections."""

_START_S = 30.0
_log = logging.getLogger(__name__)

# Any Python 3.4 runs it. One thread, because the sandbox's processes are counted; at most 64 KiB wait a direction.
# Says `relay PID` once it listens and has reached the socket, `error …` otherwise; ends when its input ends.
RELAY = r"""
import os, selectors, socket, sys

path, port = sys.argv[1], int(sys.argv[2])
MOST, PIECE = 256, 65536
selector = selectors.DefaultSelector()
pairs = set()


class End:
    def __init__(self, sock):
        self.sock, self.out, self.mask = sock, b"", 0
        self.heard_all = self.told_all = self.broken = False

    def hear(self):
        try:
            data = self.sock.recv(PIECE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.heard_all = True
        elif not self.other.told_all:
            self.other.out = data
            self.other.tell()

    def tell(self):
        try:
            self.out = self.out[self.sock.send(self.out):] if self.out else b""
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.out, self.told_all, self.broken = b"", True, True

    def settle(self):
        if self.other.heard_all and not self.out and not self.told_all:
            self.told_all = True
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        mask = 0 if self.heard_all or self.other.out else selectors.EVENT_READ
        mask |= selectors.EVENT_WRITE if self.out else 0
        if mask != self.mask:
            if not self.mask:
                selector.register(self.sock, mask, self)
            elif mask:
                selector.modify(self.sock, mask, self)
            else:
                selector.unregister(self.sock)
            self.mask = mask

    def close(self):
        if self.mask:
            selector.unregister(self.sock)
            self.mask = 0
        self.sock.close()


def to_proxy():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def welcome():
    try:
        client = listener.accept()[0]
    except OSError:
        return
    client.setblocking(False)
    try:
        proxy = to_proxy()
    except OSError as error:
        text = "the sandbox's proxy does not answer: {}\n".format(error)
        try:
            client.send("HTTP/1.1 502 Bad Gateway\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}".format(
                len(text), text).encode())
        except OSError:
            pass
        client.close()
        return
    one, two = End(client), End(proxy)
    one.other, two.other = two, one
    pairs.add((one, two))
    one.pair = two.pair = (one, two)
    one.settle()
    two.settle()
    if len(pairs) >= MOST:
        selector.unregister(listener)


def serve(end, mask):
    pair = end.pair
    if pair not in pairs:
        return
    if mask & selectors.EVENT_WRITE:
        end.tell()
    if mask & selectors.EVENT_READ:
        end.hear()
    for one in pair:
        one.settle()
    # A proxy that takes no more may still have an answer; a client that takes none wants nothing.
    if pair[0].broken or all(one.heard_all and one.told_all for one in pair):
        if len(pairs) >= MOST:
            selector.register(listener, selectors.EVENT_READ)
        pairs.discard(pair)
        for one in pair:
            one.close()


try:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(512)
    listener.setblocking(False)
    to_proxy().close()
except OSError as error:
    print("error 127.0.0.1:{} to {}: {}".format(port, path, error), flush=True)
    sys.exit(1)
selector.register(listener, selectors.EVENT_READ)
selector.register(0, selectors.EVENT_READ)
print("relay {}".format(os.getpid()), flush=True)
while True:
    for key, mask in selector.select():
        if key.fd == 0:
            if not os.read(0, PIECE):
                sys.exit(0)
        elif key.fileobj is listener:
            welcome()
        else:
            serve(key.data, mask)
"""
"""The relay's source."""

# The system's own Python first: the one that PATH finds first may be what the task is about.
_FIND_PYTHON = r"""
for python in /usr/bin/python3 /usr/local/bin/python3 python3; do
  if command -v "$python" >/dev/null 2>&1; then exec "$python" -I -S -c "$@"; fi
done
echo "error no python3 in the image"
"""


def relay_command(folder: str = MOUNT, port: int = RELAY_PORT) -> tuple[str, ...]:
    """Return what starts the relay in a sandbox.

    Its first line is ``relay PID``, as the sandbox counts processes, or ``error REASON``; it ends when its input ends.
    """
    return ("sh", "-c", _FIND_PYTHON, "sh", RELAY, f"{folder}/{SOCKET_NAME}", str(port))


def environment(allowed: AllowList, port: int = RELAY_PORT) -> dict[str, str]:
    """Return the variables by which programs find the relay.

    What the sandbox has on its own loopback is reached directly, by those of its names that ``allowed`` does not have.
    """
    proxy = f"http://127.0.0.1:{port}"
    own = ",".join(name for name in LOOPBACK_NAMES if not allowed.has_host(name))
    names = {"http_proxy": proxy, "https_proxy": proxy, "no_proxy": own}
    return names | {name.upper(): value for name, value in names.items()}


class Relay:
    """The relay that runs in an enclosure. One call at a time."""

    def __init__(self, enclosure: Enclosure, allowed: AllowList, *, port: int = RELAY_PORT) -> None:
        """Start it.

        Raises:
            SandboxError: it does not start: no Python in the image, or the proxy's folder is not mounted.
        """
        self._enclosure = enclosure
        self._port = port
        self.allowed = allowed
        """What the proxy at its other end lets through."""
        self.pids: tuple[int, ...] = ()
        """The relay's process id in the sandbox: one of the trees that a time limit spares. Empty: it has died."""
        self._channel: Channel | None = None
        self._start()

    @property
    def exports(self) -> str:
        """`environment`, as shell commands that export it."""
        return "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in environment(self.allowed, self._port).items()
        )

    def keep(self) -> None:
        """Start it again if it has died; costs a look at a socket otherwise. To be called before each command.

        What runs in the sandbox may kill it, and may do what keeps it from starting: then the network is gone, which
        is the sandbox's own doing and no error.

        Raises:
            SandboxLostError: the sandbox is gone.
        """
        if self._channel is not None and self._channel.receive(0.0) != b"":
            return
        self.close()
        try:
            self._start()
        except SandboxLostError:
            raise
        except SandboxError as error:
            _log.warning("%s", error)

    def close(self) -> None:
        """End it. May be called again."""
        channel, self._channel = self._channel, None
        self.pids = ()
        if channel is not None:
            channel.close()

    def _start(self) -> None:
        channel = self._enclosure.start(relay_command(port=self._port))
        said = _first_line(channel)
        word, _, rest = said.partition(" ")
        if word != "relay" or not rest.isdigit():
            channel.hang_up()
            channel.close()
            reason = rest if word == "error" else said or "no answer"
            raise SandboxError(f"the relay to the sandbox's allow-list proxy did not start: {reason}")
        self._channel = channel
        self.pids = (int(rest),)


def _first_line(channel: Channel) -> str:
    said = b""
    deadline = time.monotonic() + _START_S
    while b"\n" not in said and len(said) < 10_000 and (left := deadline - time.monotonic()) > 0:
        data = channel.receive(left)
        if not data:
            break
        said += data
    return said.partition(b"\n")[0].decode(errors="replace").strip()
