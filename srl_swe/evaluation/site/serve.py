"""A report that follows a run: served on this machine alone, and written again when a file that it reads changes."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from srl_swe.errors import ConfigError, SrlSweError
from srl_swe.evaluation.site.build import Sources, write_site
from srl_swe.evaluation.site.runs import METRICS, RESULTS, ROLLOUTS, TRANSCRIPTS, walk

HOST = "127.0.0.1"
VERSION = "version.txt"
_READ = {METRICS, RESULTS, ROLLOUTS, TRANSCRIPTS, "steps.jsonl", "meta.json", "config.json", "summary.json"}
_LEAST_SECONDS = 1.0
_PATIENCE = 4.0


class LiveSite:
    """Writes the site again when there is news, never more than a fifth of the time, and not more than once a second.

    Args:
        sources: What it is about.
        out: Where it is written.
        title: Its name.
        on_error: Told why a report could not be written; the one before stays.

    Raises:
        SrlSweError: the first report cannot be written.
    """

    def __init__(
        self, sources: Sources, out: Path, *, title: str | None = None, on_error: Callable[[str], None]
    ) -> None:
        self.sources, self.out, self.title, self.on_error = sources, out, title, on_error
        self._lock = threading.Lock()
        self._written, self._next, self._number = "", 0.0, 0
        self._refresh()

    def version(self) -> str:
        """A text that changes when the site has; writes the site where that is due."""
        if self._lock.acquire(blocking=False):
            try:
                if time.monotonic() >= self._next and self._state() != self._written:
                    try:
                        self._refresh()
                    except SrlSweError as error:  # a file is half there, or gone: the next look may find it whole
                        self.on_error(str(error))
            finally:
                self._lock.release()
        return str(self._number)

    def _refresh(self) -> None:
        state, start = self._state(), time.monotonic()
        try:
            write_site(self.sources, self.out, title=self.title, live=True)
            self._written, self._number = state, self._number + 1
        finally:
            now = time.monotonic()
            self._next = now + max(_LEAST_SECONDS, _PATIENCE * (now - start))

    def _state(self) -> str:
        digest = hashlib.sha256()
        for path in self._files():
            try:
                found = path.stat()
            except OSError:
                continue
            digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def _files(self) -> Iterator[Path]:
        yield from (*self.sources.trajectories, *self.sources.instances)
        for run in self.sources.runs:
            for folder in walk(run):
                yield from (folder / name for name in sorted(_READ))


def make_server(site: LiveSite, port: int) -> ThreadingHTTPServer:
    """A server of the site on this machine's own address; port 0 takes a free one.

    Raises:
        ConfigError: the port cannot be had.
    """
    handler = partial(_Handler, site=site)
    try:
        server = ThreadingHTTPServer((HOST, port), handler)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"port {port}: cannot be served on: {getattr(error, 'strerror', None) or error}") from error
    server.daemon_threads = True
    return server


class _Handler(SimpleHTTPRequestHandler):
    """Files of the site, to this machine's own browsers."""

    def __init__(self, *args: Any, site: LiveSite, **more: Any) -> None:
        self.site = site
        super().__init__(*args, directory=os.fspath(site.out), **more)

    def do_GET(self) -> None:
        # A page of another origin could have its name point here, and would then be let read what we answer.
        if self.headers.get("Host", "").rpartition(":")[0] not in (HOST, "localhost"):
            self.send_error(403, "only for 127.0.0.1 and localhost")
        elif self.path.partition("?")[0] == f"/{VERSION}":
            text = self.site.version().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        else:
            super().do_GET()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """No lists of files."""
        del path
        self.send_error(404, "no such page")

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""
