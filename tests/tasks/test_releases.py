"""Source distributions from a package index: JSON and HTML listings, hashes, the cache, unsafe archives."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from srl_swe.errors import TaskError
from srl_swe.tasks import releases
from srl_swe.tasks.prepare import source_changes


def make_sdist(files: dict[str, str], top: str = "abacus-1.0") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{top}/{name}" if top else name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


SDIST = make_sdist({"abacus/__init__.py": "x = 1\n", "setup.py": ""})


class Index:
    """A package index with one package."""

    def __init__(self) -> None:
        self.served: dict[str, tuple[str, bytes]] = {}
        self.requests: list[str] = []
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.requests.append(self.path)
                kind, content = index.served.get(self.path, ("", b""))
                self.send_response(200 if kind else 404)
                self.send_header("Content-Type", kind or "text/plain")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/simple"

    def offer(self, sha256: str, *, html: bool, sdist: bytes = SDIST) -> None:
        name = "Abacus-1.0.tar.gz"
        if html:
            wheel = '<a href="../../files/abacus-1.0-py3-none-any.whl">w</a>'
            page = f'<a href="../../files/{name}#sha256={sha256}">x</a>{wheel}'
            self.served["/simple/abacus/"] = ("text/html", page.encode())
        else:
            entry = {"filename": name, "url": f"/files/{name}", "hashes": {"sha256": sha256}}
            self.served["/simple/abacus/"] = (
                "application/vnd.pypi.simple.v1+json",
                json.dumps({"files": [entry]}).encode(),
            )
        self.served[f"/files/{name}"] = ("application/octet-stream", sdist)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Index]:
    found = Index()
    monkeypatch.setenv("PIP_INDEX_URL", found.url)
    monkeypatch.setenv("SRL_SWE_CACHE", str(tmp_path / "cache"))
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    releases._index.cache_clear()
    yield found
    releases._index.cache_clear()
    found.server.shutdown()
    found.server.server_close()
    thread.join()


@pytest.mark.parametrize("html", [True, False])
def test_fetches_once(index: Index, html: bool) -> None:
    index.offer(hashlib.sha256(SDIST).hexdigest(), html=html)
    path = releases.fetch_sdist("Abacus", "1.0.0")
    assert path.read_bytes() == SDIST
    before = len(index.requests)
    assert releases.fetch_sdist("abacus", "1.0") == path
    assert len(index.requests) == before
    path.write_bytes(b"half")
    assert releases.fetch_sdist("abacus", "1.0").read_bytes() == SDIST


def test_releases_are_listed_by_version(index: Index) -> None:
    days = {"1.10": "2021-03-01", "1.9": "2020-01-02", "2.0rc1": "2022-01-01", "1.9.1": ""}
    files = [
        {"filename": f"Abacus-{version}.tar.gz", "url": "/x", "upload-time": f"{day}T01:02:03Z" if day else None}
        for version, day in days.items()
    ]
    files += [{"filename": "abacus-3.0-py3-none-any.whl", "url": "/x"}, {"filename": "other-1.0.zip", "url": "/x"}]
    content = json.dumps({"files": files}).encode()
    index.served["/simple/abacus/"] = ("application/vnd.pypi.simple.v1+json", content)
    releases.list_releases.cache_clear()
    found = releases.list_releases("abacus")
    releases.list_releases.cache_clear()
    assert [(release.version, release.day) for release in found] == [
        ("1.9", "2020-01-02"), ("1.9.1", ""), ("1.10", "2021-03-01"),
    ]  # fmt: skip
    with pytest.raises(TaskError, match="has no package"):
        releases.list_releases("nothing-there")


def test_a_wrong_hash_is_refused(index: Index) -> None:
    index.offer("0" * 64, html=False)
    with pytest.raises(TaskError, match="the index says 0000"):
        releases.fetch_sdist("abacus", "1.0")
    assert not list((Path(releases.cache_dir()) / "sdists").glob("*.gz"))


def test_what_is_not_there(index: Index) -> None:
    with pytest.raises(TaskError, match="no package 'slide'"):
        releases.fetch_sdist("slide", "1.0")
    index.offer(hashlib.sha256(SDIST).hexdigest(), html=False)
    with pytest.raises(TaskError, match=r"no source distribution of abacus 2\.0"):
        releases.fetch_sdist("abacus", "2.0")
    with pytest.raises(TaskError, match="not a version number"):
        releases.fetch_sdist("abacus", "two")
    index.served["/simple/abacus/"] = ("application/json", b"[1]")
    with pytest.raises(TaskError, match="not understood"):
        releases.fetch_sdist("abacus", "1.0")


def test_unpacks(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(SDIST)
    releases.unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out" / "abacus" / "__init__.py").read_text() == "x = 1\n"


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", SDIST[:60], make_sdist({"../../evil": "x"}), make_sdist({"a/x": "", "b/x": ""}, top="")],
)
def test_what_cannot_be_unpacked(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tar.gz").write_bytes(content)
    with pytest.raises(TaskError, match=r"a\.tar\.gz"):
        releases.unpack(tmp_path / "in" / "a.tar.gz", tmp_path / "in" / "out")
    assert not (tmp_path / "evil").exists()
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.tar.gz"]


def test_what_is_source(tmp_path: Path) -> None:
    texts = {
        "abacus/__init__.py": "1",
        "abacus/sum.py": "1",
        "abacus/grammar.txt": "1",
        "abacus/tests/test_sum.py": "1",
        "abacus.egg-info/PKG-INFO": "1",
        "src/slide/rule.py": "1",
        "docs/conf.py": "1",
        "tests/test_sum.py": "1",
        "examples/__init__.py": "1",
        "single.py": "1",
        "setup.py": "1",
        "CHANGES.rst": "1",
        "PKG-INFO": "1",
    }
    for root in ("old", "new"):
        for name, text in texts.items():
            file = tmp_path / root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{root}{text}\n")
    (tmp_path / "old" / "abacus" / "gone.py").write_text("x\n")
    (tmp_path / "new" / "abacus" / "icon.png").write_bytes(b"\x89PNG\0\xff")
    changes = source_changes(tmp_path / "old", tmp_path / "new", ())
    assert sorted(changes) == [
        "abacus/__init__.py", "abacus/gone.py", "abacus/grammar.txt", "abacus/sum.py", "single.py", "src/slide/rule.py"
    ]  # fmt: skip
    assert changes["abacus/gone.py"] is None
    assert sorted(source_changes(tmp_path / "old", tmp_path / "new", ("abacus/sum.py", "src"))) == [
        "abacus/sum.py",
        "src/slide/rule.py",
    ]
