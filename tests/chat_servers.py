"""A small server that speaks OpenAI's chat completions; what it answers is up to the test."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]
Respond = Callable[[dict[str, Any], int], Reply]
"""(the request's body, how many requests there were before it) -> (status, headers, body)."""


def completion(text: str | None, *, usage: bool = True, **message: Any) -> Reply:
    """A chat completion, which read 100 tokens and wrote 10."""
    record: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
        ],
    }
    if usage:
        record["usage"] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return 200, {}, json.dumps(record).encode()


@dataclass
class ChatServer:
    """A running server."""

    url: str
    """Its base URL."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The bodies of the requests so far."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Their headers."""


@contextlib.contextmanager
def chat_server(respond: Respond) -> Iterator[ChatServer]:
    """Serve until the end of the block."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(server.requests)
                server.requests.append(body)
                server.headers.append(dict(self.headers))
            known = self.path == "/v1/chat/completions"
            status, headers, data = respond(body, number) if known else (404, {}, b"no such path")
            if status == 0:  # hang up
                self.close_connection = True
                return
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        listener.block_on_close = False
        server = ChatServer(f"http://127.0.0.1:{listener.server_address[1]}/v1")
        serving = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield server
        finally:
            listener.shutdown()
            serving.join()
