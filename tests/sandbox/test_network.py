"""The allow-list proxy: what it lets through, on the host and out of a container that has no network."""

from __future__ import annotations

import http.server
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import docker
import pytest

from srl_swe.errors import ConfigError, SandboxError
from srl_swe.sandbox import open_sandbox
from srl_swe.sandbox.enclosure import Channel, Enclosure, ShellState
from srl_swe.sandbox.exec_channel import ExecChannel
from srl_swe.sandbox.leftovers import labels
from srl_swe.sandbox.network.allow_list import parse_allowed
from srl_swe.sandbox.network.messages import ProxyError, parse_request
from srl_swe.sandbox.network.proxy import AllowListProxy, remove_left_over_folders
from srl_swe.sandbox.network.relay import MOUNT, SOCKET_NAME, Relay, environment

BIG = 50 * 1024 * 1024


class Answers(http.server.BaseHTTPRequestHandler):
    """Tells what it was asked. It would keep its connections open; ``/big``: 50 MB, ``/chunks``: in chunks."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/silent":
            time.sleep(5)
        if self.path == "/chunks":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n7;a=b\r\n, world\r\n0\r\nX-Trailer: 1\r\n\r\n")
            return
        body = b"\0" * BIG if self.path == "/big" else f"{self.requestline}\n{self.headers}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "keep-alive")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = b""
        if self.headers["Transfer-Encoding"] == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Echo(socketserver.BaseRequestHandler):
    """Says everything again, and, once the other side has ended, how much it was."""

    def handle(self) -> None:
        count = 0
        while data := self.request.recv(65536):
            count += len(data)
            self.request.sendall(data)
        self.request.sendall(f" {count} bytes".encode())


class ThreadingEcho(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


@pytest.fixture(scope="module")
def web() -> Iterator[int]:
    """The port of a web server on the host's loopback."""
    yield from served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers))


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    """The port of an echo server there."""
    yield from served(ThreadingEcho(("127.0.0.1", 0), Echo))


def served(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1]  # type: ignore[misc]
    server.shutdown()
    thread.join()
    server.server_close()


def ask(proxy: AllowListProxy, sent: bytes, *, end: bool = True) -> bytes:
    """Everything that the proxy answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(proxy.folder / SOCKET_NAME))
        connection.sendall(sent)
        if end:
            connection.shutdown(socket.SHUT_WR)
        answer = bytearray()
        while data := connection.recv(1 << 20):
            answer += data
        return bytes(answer)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("pypi.org", "the port is missing"),
        ("[::1]", "the port is missing"),
        (":443", "the host is missing"),
        ("https://pypi.org:443", "it has a scheme"),
        ("pypi.org:443/simple", "more than a host and a port"),
        ("me@pypi.org:443", "more than a host and a port"),
        (" pypi.org:443", "more than a host and a port"),
        ("pypi.org:0", "none from 1 to 65535"),
        ("pypi.org:65536", "none from 1 to 65535"),
        ("pypi.org:https", "none from 1 to 65535"),
        ("*:443", "a bare *"),
        ("*.org:443", "top-level domain"),
        ("py*.org:443", "no name of a host"),
        ("*pypi.org:443", "in front of a dot"),
        ("*.1.2.3.4:443", "in front of a dot"),
        ("::1:80", "belongs in brackets"),
        ("127.1:80", "no name of a host"),
        ("0x7f000001:80", "no name of a host"),
        ("2130706433:80", "no name of a host"),
        ("-a.org:80", "no name of a host"),
        ("169.254.169.254:80", "link-local or metadata"),
        ("[::ffff:169.254.169.254]:80", "link-local or metadata"),
        ("0.0.0.0:80", "no address of one machine"),
        (443, "it is no text"),
    ],
)
def test_entries_that_are_wrong_are_named(entry, why):
    with pytest.raises(ConfigError) as caught:
        parse_allowed(["pypi.org:443", entry])
    assert why in str(caught.value)
    assert repr(str(entry)) in str(caught.value)
    assert "expected HOST:PORT" in str(caught.value)


def test_a_text_is_no_list():
    with pytest.raises(ConfigError, match="expected a list"):
        parse_allowed("pypi.org:443")


def test_what_entries_permit():
    allowed = parse_allowed(["PyPI.org:443", "*.Example.org:443", "127.0.0.1:8080", "[0:0::1]:8080", "10.0.0.1:80"])
    permitted = [
        ("pypi.org", 443),
        ("a.example.org", 443),
        ("a.b.example.org", 443),
        ("127.0.0.1", 8080),
        ("::1", 8080),
    ]
    assert all(allowed.permits(host, port) for host, port in permitted)
    refused = [("pypi.org", 80), ("example.org", 443), ("badexample.org", 443), ("a.example.org", 80)]
    refused += [("localhost", 8080), ("pypi.org.evil.org", 443), ("127.0.0.2", 8080)]
    assert not any(allowed.permits(host, port) for host, port in refused)
    assert parse_allowed([]).permits("pypi.org", 443) is False


def test_own_loopback_goes_without_proxy_unless_it_is_listed():
    assert environment(parse_allowed(["pypi.org:443"]))["no_proxy"] == "localhost,127.0.0.1,::1"
    variables = environment(parse_allowed(["127.0.0.1:8080"]), 99)
    assert variables["NO_PROXY"] == "localhost,::1"
    assert variables["HTTPS_PROXY"] == variables["http_proxy"] == "http://127.0.0.1:99"


@pytest.mark.parametrize(
    "head",
    [
        b"GET http://a.org/ HTTP/2.0",
        b"GET  http://a.org/ HTTP/1.1",
        b"GET / HTTP/1.1\r\nHost: a.org",
        b"GET https://a.org/ HTTP/1.1",
        b"GET http://me@a.org/ HTTP/1.1",
        b"GET http://a.org:99999/ HTTP/1.1",
        b"GET http://a.org\\@b.org/ HTTP/1.1",
        b"CONNECT a.org HTTP/1.1",
        b"CONNECT http://a.org:80 HTTP/1.1",
        b"CONNECT 127.1:80 HTTP/1.1",
        b"POST http://a.org/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        b"POST http://a.org/ HTTP/1.1\r\nContent-Length: +1",
        b"POST http://a.org/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        b"POST http://a.org/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"POST http://a.org/ HTTP/1.1\r\nTransfer-Encoding: xchunked",
        b"POST http://a.org/ HTTP/1.0\r\nTransfer-Encoding: chunked",
        b"GET http://a.org/ HTTP/1.1\r\nX : 1",
        b"GET http://a.org/ HTTP/1.1\r\nX: 1\r\n folded",
        b"GET http://a.org/ HTTP/1.1\r\nX: 1\nY: 2",
        b"GET http://a.org/ HTTP/1.1\r\nX: 1\rY: 2",
        b"GET http://a.org/ HTTP/1.1\r\nX: \0",
        b"",
    ],
)
def test_malformed_requests_are_refused(head):
    with pytest.raises(ProxyError) as caught:
        parse_request(head)
    assert caught.value.status == 400


def test_a_request_is_written_anew():
    head = (
        b"GET http://A.org:8080?x=1#part HTTP/1.1\r\nHost: evil.org\r\nConnection: X-Mine, close, Content-Length\r\n"
        b"X-Mine: 1\r\nX-Other: \xe4\r\nProxy-Authorization: secret\r\nContent-Length: 3\r\nUpgrade: h2c"
    )
    assert parse_request(head).forwarded() == (
        b"GET /?x=1 HTTP/1.1\r\nHost: a.org:8080\r\nConnection: close\r\nContent-Length: 3\r\nX-Other: \xe4\r\n\r\n"
    )


def test_forwards_one_request_with_the_right_host(web):
    with AllowListProxy([f"localhost:{web}"]) as proxy:
        request = f"GET http://localhost:{web}/a?b HTTP/1.1\r\nHost: evil.org\r\n\r\n".encode()
        answer = ask(proxy, request + f"GET http://localhost:{web}/second HTTP/1.1\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"GET /a?b HTTP/1.1\nHost: localhost:%d\n" % web in answer
        assert b"evil" not in answer
        assert b"second" not in answer
        assert answer.count(b"HTTP/1.1 200") == 1
        assert b"Connection: close\r\n" in answer
        assert b"keep-alive" not in answer
        assert proxy.served == 1


@pytest.mark.parametrize("path", ["chunks", "silent"])
def test_an_answer_ends_where_its_framing_ends(web, path):
    with AllowListProxy([f"localhost:{web}"], idle_s=1) as proxy:
        answer = ask(proxy, f"GET http://localhost:{web}/{path} HTTP/1.1\r\n\r\n".encode(), end=False)
    if path == "chunks":
        assert answer.endswith(b"5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n")
    else:
        assert answer.startswith(b"HTTP/1.1 504")


def test_bodies_of_both_kinds(web):
    with AllowListProxy([f"localhost:{web}"]) as proxy:
        start = f"POST http://localhost:{web}/ HTTP/1.1\r\n".encode()
        assert ask(proxy, start + b"Content-Length: 4\r\n\r\nbodyGET /smuggled").endswith(b"\r\n\r\nbody")
        assert ask(
            proxy, start + b"Transfer-Encoding: chunked\r\n\r\n2;x\r\nbo\r\n2\r\ndy\r\n0\r\nA: b\r\n\r\n"
        ).endswith(b"\r\n\r\nbody")
        assert ask(proxy, start + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbody\r\n").startswith(b"HTTP/1.1 400")
        assert ask(proxy, start + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n").startswith(b"HTTP/1.1 400")


def test_what_is_not_listed_is_refused_and_counted(web, echo):
    with AllowListProxy([f"127.0.0.1:{web}"]) as proxy:
        answer = ask(proxy, f"CONNECT 127.0.0.1:{echo} HTTP/1.1\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 403 Forbidden by the allow-list")
        assert f"asked for 127.0.0.1:{echo}".encode() in answer
        assert f"Allowed: 127.0.0.1:{web}".encode() in answer
        assert b"means the host" in answer
        for host in ("localhost", "[::1]", "127.0.0.2", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0"):
            assert ask(proxy, f"GET http://{host}:{web}/ HTTP/1.1\r\n\r\n".encode()).startswith(b"HTTP/1.1 403")
        assert proxy.refused[f"127.0.0.1:{echo}"] == 1
        for number in range(300):
            ask(proxy, f"GET http://host{number}.org/ HTTP/1.1\r\n\r\n".encode())
        assert len(proxy.refused) <= 257
        assert proxy.refused["…"] > 40
        assert proxy.served == 0


def test_a_name_may_not_lead_to_loopback(web):
    name = socket.gethostname()
    try:
        addresses = {found[4][0] for found in socket.getaddrinfo(name, web, type=socket.SOCK_STREAM)}
    except OSError:
        addresses = set()
    # Names below localhost are loopback by definition, where the resolver knows them; this machine's own often is.
    for listed in ["a.localhost", *([name] if any(address.startswith("127.") for address in addresses) else [])]:
        with AllowListProxy([f"{listed}:{web}"]) as proxy:
            answer = ask(proxy, f"GET http://{listed}:{web}/ HTTP/1.1\r\n\r\n".encode())
            assert answer.startswith((b"HTTP/1.1 403", b"HTTP/1.1 502"))
            assert b"loopback" in answer or b"no address of" in answer


def test_bad_heads_get_an_answer():
    with AllowListProxy([]) as proxy:
        assert ask(proxy, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
        assert ask(proxy, b"GET http://a").startswith(b"HTTP/1.1 400")
        assert ask(proxy, b"GET http://a.org/ HTTP/1.1\r\nX: " + b"y" * 200_000).startswith(b"HTTP/1.1 431")
        assert ask(proxy, b"") == b""


def test_a_tunnel_is_half_closed_and_streams(echo):
    with AllowListProxy([f"127.0.0.1:{echo}"]) as proxy:
        answer = ask(proxy, f"CONNECT 127.0.0.1:{echo} HTTP/1.1\r\n\r\nearly ".encode() + b"and late")
        assert answer.endswith(b"\r\n\r\nearly and late 14 bytes")


def test_an_unreachable_server_is_a_bad_gateway():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with AllowListProxy([f"127.0.0.1:{port}"]) as proxy:
            assert ask(proxy, f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode()).startswith(b"HTTP/1.1 502")


def test_nothing_is_left_after_close(echo):
    def threads() -> int:
        return sum(thread.name == "srl-swe-network" for thread in threading.enumerate())

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    proxies = [AllowListProxy([f"127.0.0.1:{echo}"]) for _ in range(3)]
    assert threads() == 1
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(proxies[0].folder / SOCKET_NAME))
        connection.sendall(f"CONNECT 127.0.0.1:{echo} HTTP/1.1\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        for proxy in proxies:
            proxy.close()
            proxy.close()
        assert connection.recv(100) == b""
    assert threads() == 0
    assert not any(proxy.folder.parent.exists() for proxy in proxies)
    assert descriptors() == before


def test_other_users_of_the_host_cannot_reach_the_socket():
    with AllowListProxy([]) as proxy:
        assert proxy.folder.parent.stat().st_mode & 0o777 == 0o700
        assert proxy.folder.stat().st_mode & 0o777 == 0o755
        assert (proxy.folder / SOCKET_NAME).stat().st_mode & 0o777 == 0o666
        assert [path.name for path in proxy.folder.iterdir()] == [SOCKET_NAME]


def test_folders_of_killed_processes_are_removed():
    dying = (
        "import os; from srl_swe.sandbox.network.proxy import AllowListProxy\n"
        "print(AllowListProxy([]).folder.parent, flush=True); os.kill(os.getpid(), 9)"
    )
    died = subprocess.run([sys.executable, "-c", dying], stdout=subprocess.PIPE, text=True)
    place = Path(died.stdout.strip())
    with AllowListProxy([]) as proxy:
        assert place.exists()
        assert remove_left_over_folders() >= 1
        assert not place.exists()
        assert proxy.folder.exists()


class Container:
    """As much of an `Enclosure` as the relay needs, with the proxy's folder mounted as backends have to do it."""

    def __init__(self, client: docker.DockerClient, image: str, folder: Path | None) -> None:
        self._api: Any = client.api
        host = self._api.create_host_config(
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            pids_limit=64,
            mem_limit=256 << 20,
            init=True,
            read_only=True,
            tmpfs={"/tmp": "", "/run": ""},
            mounts=[docker.types.Mount(MOUNT, str(folder), type="bind", read_only=True)] if folder else [],
        )
        self.id = self._api.create_container(
            image, ["sleep", "infinity"], user="0:0", host_config=host, labels=labels("sandbox")
        )["Id"]
        self._api.start(self.id)

    def start(self, command: Sequence[str]) -> Channel:
        return ExecChannel(self._api, self.id, command, user="agent")

    def python(self, source: str, variables: dict[str, str]) -> str:
        """What a program prints."""
        made = self._api.exec_create(
            self.id, ["python3", "-c", source], user="agent", environment=variables, workdir="/tmp"
        )
        return self._api.exec_start(made["Id"]).decode()

    def kill(self, *, spared: Sequence[int] = (), spared_trees: Sequence[int] = ()) -> None:
        assert not spared and not spared_trees
        made = self._api.exec_create(self.id, ["bash", "-c", "kill -9 -1"], user="agent")
        self._api.exec_start(made["Id"])

    def check(self) -> None: ...

    def written_mb(self) -> float | None:
        return None

    def save(self, state: ShellState) -> str:
        raise NotImplementedError

    def remove(self) -> None:
        self._api.remove_container(self.id, force=True)


@pytest.fixture(scope="module", name="boxed")
def boxed_fixture(
    docker_client: docker.DockerClient, base_image: str, web: int, echo: int
) -> Iterator[tuple[Container, AllowListProxy, Relay]]:
    """A container that may reach the web server and, as ``localhost``, the echo server; and another port in vain."""
    with AllowListProxy([f"127.0.0.1:{web}", f"localhost:{echo}"]) as proxy:
        container = Container(docker_client, base_image, proxy.folder)
        try:
            enclosure: Enclosure = container
            relay = Relay(enclosure, proxy.allowed)
            yield container, proxy, relay
            relay.close()
        finally:
            container.remove()


def in_box(boxed: tuple[Container, AllowListProxy, Relay], source: str) -> str:
    container, proxy, _ = boxed
    return container.python(source, environment(proxy.allowed))


GET = "import urllib.request as r; print(r.urlopen({url!r}, timeout=20).read().decode())"


@pytest.mark.docker
def test_box_gets_what_is_listed(boxed, web):
    said = in_box(boxed, GET.format(url=f"http://127.0.0.1:{web}/hello"))
    assert f"GET /hello HTTP/1.1\nHost: 127.0.0.1:{web}\n" in said


@pytest.mark.docker
@pytest.mark.parametrize("url", ["http://127.0.0.1:{echo}/", "http://169.254.169.254/latest", "http://example.org/"])
def test_box_is_refused_what_is_not(boxed, echo, url):
    said = in_box(boxed, GET.format(url=url.format(echo=echo)))
    assert "HTTP Error 403: Forbidden by the allow-list of the sandbox" in said
    tunnelled = in_box(boxed, GET.format(url=url.format(echo=echo).replace("http:", "https:")))
    assert "Tunnel connection failed: 403 Forbidden by the allow-list of the sandbox" in tunnelled


@pytest.mark.docker
def test_box_has_no_other_way_out(boxed, web):
    said = in_box(
        boxed,
        "import os, socket\n"
        "print(sorted(os.listdir('/sys/class/net')))\n"
        f"for place in ('127.0.0.1', {web}), ('10.0.0.1', 80), ('169.254.169.254', 80), ('8.8.8.8', 53):\n"
        "    try:\n        socket.create_connection(place, 5)\n        print('reached', place)\n"
        "    except OSError as error: print(error)\n"
        f"try: open('{MOUNT}/x', 'w')\nexcept OSError as error: print(error)\n"
        f"try: os.unlink('{MOUNT}/{SOCKET_NAME}')\nexcept OSError as error: print(error)\n",
    )
    assert "['lo']" in said
    assert "reached" not in said
    assert said.count("nreachable") == 3
    assert said.count("Read-only file system") == 2


@pytest.mark.docker
def test_box_tunnels_with_half_close(boxed, echo):
    said = in_box(
        boxed,
        "import socket\n"
        "c = socket.create_connection(('127.0.0.1', 3128), 20)\n"
        f"c.sendall(b'CONNECT localhost:{echo} HTTP/1.1\\r\\n\\r\\n')\n"
        "head = b''\nwhile not head.endswith(b'\\r\\n\\r\\n'): head += c.recv(1)\n"
        "c.sendall(b'x' * 1000)\nc.shutdown(socket.SHUT_WR)\n"
        "got = b''\nwhile data := c.recv(4096): got += data\nprint(head.split(b'\\r')[0], got[995:])\n",
    )
    assert "200 Connection established" in said
    assert "b'xxxxx 1000 bytes'" in said


@pytest.mark.docker
def test_box_asks_twenty_times_at_once(boxed, web):
    said = in_box(
        boxed,
        "import concurrent.futures as f, urllib.request as r\n"
        f"get = lambda n: r.urlopen(f'http://127.0.0.1:{web}/{{n}}', timeout=60).read().split()[1].decode()\n"
        "with f.ThreadPoolExecutor(20) as pool: got = list(pool.map(get, range(100)))\n"
        "print(got == [f'/{n}' for n in range(100)])\n",
    )
    assert said.strip() == "True"


@pytest.mark.docker
def test_box_loads_50_mb_and_sends_20(boxed, web):
    loaded = in_box(
        boxed,
        "import urllib.request as r\n"
        f"a = r.urlopen('http://127.0.0.1:{web}/big', timeout=60)\n"
        "n = 0\nwhile data := a.read(1 << 20): n += len(data)\nprint(n)\n"
        f"a = r.urlopen('http://127.0.0.1:{web}/', data=bytes(20 << 20), timeout=60)\nprint(len(a.read()))\n",
    )
    assert loaded.split() == [str(BIG), str(20 << 20)]


@pytest.mark.docker
def test_a_killed_relay_comes_back(boxed, web):
    container, _, relay = boxed
    relay.keep()
    first = relay.pids
    assert len(first) == 1
    container.kill()
    deadline = time.monotonic() + 10
    while relay.pids == first and time.monotonic() < deadline:
        relay.keep()
    assert relay.pids and relay.pids != first
    assert "GET /again" in in_box(boxed, GET.format(url=f"http://127.0.0.1:{web}/again"))


@pytest.mark.docker
def test_relay_says_why_it_does_not_start(docker_client, base_image):
    container = Container(docker_client, base_image, None)
    try:
        with pytest.raises(SandboxError, match=f"{MOUNT}/{SOCKET_NAME}"):
            Relay(container, parse_allowed([]))
    finally:
        container.remove()


@pytest.mark.docker
def test_an_image_without_python_is_an_error(boxed):
    container, proxy, _ = boxed

    class WithoutPython(Container):
        def __init__(self) -> None: ...

        def start(self, command: Sequence[str]) -> Channel:
            hidden = ["sh", "-c", command[2].replace("/python3", "/none").replace(" python3;", " none;"), *command[3:]]
            return container.start(hidden)

    with pytest.raises(SandboxError, match="no python3 in the image"):
        Relay(WithoutPython(), proxy.allowed)


@pytest.mark.docker
def test_a_sandbox_reaches_what_its_list_has(base_image: str) -> None:
    class Greeting(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            pass

    def get(port: int) -> str:
        return f"""python -c "import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}/').read())" 2>&1"""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Greeting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_port
        with open_sandbox(base_image, network=(f"127.0.0.1:{port}",)) as box:
            assert box.run(get(port)).output == "b'hello'\n"
            assert "403" in box.run(get(port + 1)).output
            assert box.run("sleep 60", timeout_s=0.5).timed_out
            assert box.run(get(port)).output == "b'hello'\n", "spared by the time limit"
            box.run("pkill -9 python; sleep 0.2")
            assert box.run(get(port), session="other").output == "b'hello'\n", "started again"
            (fork,) = box.fork(1)
            with fork:
                assert fork.run(get(port)).output == "b'hello'\n"
        server.shutdown()
