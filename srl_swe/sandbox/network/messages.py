"""What an HTTP proxy reads and says: heads of requests and answers, and bodies, which are streamed.

Strict, and never passed on as they came: a request is read into its parts and written anew, so that a server finds
exactly one in it, for the host that was checked.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from srl_swe.sandbox.network.allow_list import plain_host

HEAD_BYTES = 64 * 1024
"""Longest head of a request or an answer, and longest trailer."""
PIECE_BYTES = 64 * 1024
"""What is passed on at a time."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST = re.compile(rf"({_TOKEN}) (\S+) HTTP/1\.([01])")
_ANSWER = re.compile(r"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
_HEADER = re.compile(rf"({_TOKEN}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:@\s]+)(?::([0-9]{1,5}))?")
_ABSOLUTE = re.compile(r"http://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,16})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_LENGTH = re.compile(r"[0-9]{1,18}")
_THIS_HOP_ONLY = frozenset(
    ("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "upgrade")
)
_WRITTEN_ANEW = frozenset(("host", "content-length", "transfer-encoding", "te", "trailer", "http2-settings"))

Headers = list[tuple[str, str]]


class ProxyError(Exception):
    """An exchange that ends with an answer of the proxy's own."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        """The answer's status code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyRequest:
    """What a client asks of the proxy."""

    method: str
    host: str
    """As the allow-list has hosts."""
    port: int
    path: str
    """Path and query."""
    minor: int
    """Of the HTTP version: 0 or 1."""
    headers: Headers
    """All of them."""
    length: int | None
    """Bytes of body that follow; ``None``: chunks."""

    @property
    def authority(self) -> str:
        """Host and port, as in an allow-list."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def forwarded(self) -> bytes:
        """Return the head that the server gets."""
        listed = _listed(self.headers)
        kept = [(name, value) for name, value in self.headers if name.lower() not in _WRITTEN_ANEW | listed]
        host = self.authority.removesuffix(":80")
        own = [("Host", host), ("Connection", "close")]
        if self.length is None:
            own.append(("Transfer-Encoding", "chunked"))
        elif self.length or any(name.lower() == "content-length" for name, _ in self.headers):
            own.append(("Content-Length", str(self.length)))
        return _head(f"{self.method} {self.path} HTTP/1.{self.minor}", own + kept)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyAnswer:
    """The head of a server's answer."""

    status: int
    head: bytes
    """What the client gets."""
    length: int | None
    """Bytes of body that follow; ``None``: chunks, or all until the server ends."""
    chunked: bool
    """Which of both."""


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """Return everything up to the empty line, without it; empty: nothing came.

    Raises:
        ProxyError: it is too long, or is cut off.
    """
    try:
        return (await reader.readuntil(b"\r\n\r\n"))[:-4]
    except asyncio.LimitOverrunError:
        raise ProxyError(431, f"the head is longer than {HEAD_BYTES} bytes") from None
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return b""
        raise ProxyError(400, "the head is cut off") from None


def parse_request(head: bytes) -> ProxyRequest:
    """Read the head of a request.

    Raises:
        ProxyError: it is malformed, ambiguous, or no request to a proxy.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    match = _REQUEST.fullmatch(first)
    if match is None:
        raise ProxyError(400, "the first line is no HTTP/1.0 or HTTP/1.1 request")
    method, target, minor = match[1], match[2], int(match[3])
    headers = _headers(lines, 400)
    if method == "CONNECT":
        authority, path, default = target, "", None
    elif absolute := _ABSOLUTE.fullmatch(target):
        authority, path, default = absolute[1], absolute[2], 80
        path = path if path.startswith("/") else f"/{path}"
    else:
        raise ProxyError(400, "this is a proxy: it takes CONNECT HOST:PORT, and other methods with an http:// URL")
    found = _AUTHORITY.fullmatch(authority)
    host = plain_host(found[1]) if found else None
    port = int(found[2]) if found and found[2] else default
    if host is None or port is None or not 0 < port < 65536:
        raise ProxyError(400, f"expected HOST:PORT, got {authority[:200]!r}")
    length, chunked = _framing(headers, 400)
    if chunked and minor == 0:
        raise ProxyError(400, "HTTP/1.0 has no chunks")
    length = None if chunked else length or 0
    return ProxyRequest(method=method, host=host, port=port, path=path, minor=minor, headers=headers, length=length)


def parse_answer(head: bytes, method: str) -> ProxyAnswer:
    """Read the head of a server's answer to a request of that method.

    Raises:
        ProxyError: it is malformed or ambiguous.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    match = _ANSWER.fullmatch(first)
    if match is None:
        raise ProxyError(502, "the server does not speak HTTP/1")
    status = int(match[1])
    if status == 101:
        raise ProxyError(502, "the server changes the protocol, which nobody asked for")
    headers = _headers(lines, 502)
    length, chunked = _framing(headers, 502)
    if method == "HEAD" or status < 200 or status in (204, 304):
        length, chunked = 0, False
    listed = _listed(headers)
    kept = [(name, value) for name, value in headers if name.lower() not in listed]
    if status >= 200:
        kept.append(("Connection", "close"))
    return ProxyAnswer(status=status, head=_head(first, kept), length=length, chunked=chunked)


def own_answer(status: int, text: str) -> bytes:
    """Return an answer of the proxy's own."""
    reasons = {400: "Bad Request", 403: "Forbidden by the allow-list of the sandbox", 408: "Request Timeout"}
    reasons |= {431: "Request Header Fields Too Large", 501: "Not Implemented", 502: "Bad Gateway"}
    reasons |= {503: "Service Unavailable", 504: "Gateway Timeout"}
    body = f"{text}\n".encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    return _head(f"HTTP/1.1 {status} {reasons.get(status, 'Error')}", [*headers, ("Connection", "close")]) + body


async def copy_body(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    length: int | None,
    chunked: bool,
    moved: Callable[[], None],
) -> None:
    """Pass a body on; ``moved`` is called for each piece.

    Raises:
        ProxyError: its chunks are malformed.
        asyncio.IncompleteReadError: it is cut off.
    """
    if chunked:
        await _copy_chunks(reader, writer, moved)
        return
    while length is None or length > 0:
        data = await reader.read(PIECE_BYTES if length is None else min(PIECE_BYTES, length))
        if not data:
            if length is None:
                return
            raise asyncio.IncompleteReadError(b"", length)
        writer.write(data)
        await writer.drain()
        moved()
        length = None if length is None else length - len(data)


async def _copy_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, moved: Callable[[], None]) -> None:
    while True:
        match = _CHUNK.fullmatch(await _line(reader))
        if match is None:
            raise ProxyError(400, "a malformed chunk")
        size = int(match[1], 16)
        if size == 0:
            break
        writer.write(b"%x\r\n" % size)
        await copy_body(reader, writer, length=size, chunked=False, moved=moved)
        if await reader.readexactly(2) != b"\r\n":
            raise ProxyError(400, "a chunk that is longer than it says")
        writer.write(b"\r\n")
    # What comes after the last chunk is of no use to anybody, and is a way to bring in a header.
    left = HEAD_BYTES
    while (line := await _line(reader)) != b"\r\n" and left > 0:
        left -= len(line)
    if left <= 0:
        raise ProxyError(400, "a trailer that does not end")
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    moved()


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n")
    except asyncio.LimitOverrunError:
        raise ProxyError(400, "a line that does not end") from None


def _headers(lines: list[str], status: int) -> Headers:
    headers = []
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise ProxyError(status, f"a malformed header line: {line[:100]!r}")
        headers.append((match[1], match[2].strip(" \t")))
    return headers


def _framing(headers: Headers, status: int) -> tuple[int | None, bool]:
    """Return the body's length where it is said, and whether it comes in chunks. Two opinions are none."""
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    codings = [value.lower() for name, value in headers if name.lower() == "transfer-encoding"]
    if codings and (lengths or codings != ["chunked"]):
        raise ProxyError(status, "a body that is framed by more than one length, or more than by chunks")
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(value) for value in lengths):
        raise ProxyError(status, "a body of more than one length, or of none")
    return (int(lengths[0]) if lengths else None), bool(codings)


def _listed(headers: Headers) -> frozenset[str]:
    """The names of the headers that are for the next hop only."""
    said = ",".join(value for name, value in headers if name.lower() == "connection")
    # The framing is for whoever reads the body: nobody can wish it away.
    named = {name.strip().lower() for name in said.split(",")} - {"content-length", "transfer-encoding"}
    return _THIS_HOP_ONLY | named


def _head(first: str, headers: Headers) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n"
