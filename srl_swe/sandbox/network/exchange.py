"""One exchange between a client in a sandbox and a server: a request and its answer, or a tunnel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from srl_swe.sandbox.network.messages import (
    PIECE_BYTES,
    ProxyAnswer,
    ProxyError,
    ProxyRequest,
    copy_body,
    parse_answer,
    read_head,
)

_LINGER_S = 2.0


class Exchange:
    """A client, a server, and what they have to say to each other."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
        *,
        idle_s: float,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._server_reader, self._server_writer = server_reader, server_writer
        for one in (writer, server_writer):
            # So that `drain` waits for all: what a slow reader does not take is not taken from the other side.
            one.transport.set_write_buffer_limits(high=0)
        self._idle_s = idle_s
        self._clock = asyncio.get_running_loop().time
        self._last = self._clock()
        self._answered = False

    async def run(self, request: ProxyRequest) -> None:
        """Pass on until it is over, or nothing has moved for too long."""
        work = self._tunnel() if request.method == "CONNECT" else self._forward(request)
        tasks = [asyncio.ensure_future(work), asyncio.ensure_future(self._idle())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(tasks)
        if tasks[0] in done:
            tasks[0].result()
        elif not self._answered:
            raise ProxyError(504, f"nothing from {request.authority} in {self._idle_s:.0f} seconds")

    async def _tunnel(self) -> None:
        self._answered = True
        self._writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        ways = [
            asyncio.ensure_future(self._pass(self._reader, self._server_writer)),
            asyncio.ensure_future(self._pass(self._server_reader, self._writer)),
        ]
        try:
            await asyncio.gather(*ways)
        finally:
            await _cancel(ways)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await copy_body(reader, writer, length=None, chunked=False, moved=self._moved)
        writer.write_eof()

    async def _forward(self, request: ProxyRequest) -> None:
        """Pass on one request and its answer. A server may answer before it has read all."""
        self._server_writer.write(request.forwarded())
        asking = asyncio.ensure_future(self._ask(request))
        try:
            answer = await self._head(request.method, asking)
            while answer.status < 200:
                answer = await self._head(request.method, asking)
            await self._hear(answer)
        finally:
            await _cancel([asking])
        await linger(self._reader, self._writer)

    async def _ask(self, request: ProxyRequest) -> None:
        """Pass on the request's body."""
        chunked = request.length is None
        await copy_body(self._reader, self._server_writer, length=request.length, chunked=chunked, moved=self._moved)

    async def _head(self, method: str, asking: asyncio.Future[None]) -> ProxyAnswer:
        """Pass on the head of an answer, which may be one that only says to go on."""
        hearing = asyncio.ensure_future(read_head(self._server_reader))
        try:
            both: list[asyncio.Future[Any]] = [hearing, asking]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if asking.done() and not hearing.done():
                # A server that takes no more may have said why; a client that breaks off waits for nothing.
                if (error := asking.exception()) and not isinstance(error, ConnectionError):
                    raise error
                await asyncio.wait([hearing])
            head = hearing.result()
        except ConnectionError as error:
            raise ProxyError(502, f"the server ended without an answer: {error}") from error
        finally:
            await _cancel([hearing])
        if not head:
            raise ProxyError(502, "the server ended without an answer")
        answer = parse_answer(head, method)
        self._answered = answer.status >= 200
        self._writer.write(answer.head)
        await self._writer.drain()
        self._moved()
        return answer

    async def _hear(self, answer: ProxyAnswer) -> None:
        """Pass on the answer's body."""
        try:
            await copy_body(
                self._server_reader, self._writer, length=answer.length, chunked=answer.chunked, moved=self._moved
            )
        except ProxyError as error:
            raise EOFError(str(error)) from error  # in the middle of an answer there is no other

    def _moved(self) -> None:
        self._last = self._clock()

    async def _idle(self) -> None:
        while (left := self._last + self._idle_s - self._clock()) > 0:
            await asyncio.sleep(left)


async def linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say that nothing more comes, and let the other side finish: what it gets while it still speaks may be lost."""
    with contextlib.suppress(OSError):
        async with asyncio.timeout(_LINGER_S):
            await writer.drain()
            writer.write_eof()
            while await reader.read(PIECE_BYTES):
                pass


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection, by force if what was written cannot be got rid of."""
    writer.close()
    try:
        await asyncio.wait_for(writer.wait_closed(), _LINGER_S)
    except OSError:
        writer.transport.abort()


async def _cancel(tasks: Iterable[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
