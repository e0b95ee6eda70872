"""Source distributions from a Python package index: found, downloaded, checked against the index's hash, unpacked.

pip is not asked to do it, because ``pip download`` runs the build of a source distribution to learn its metadata. The
index's own interface (https://packaging.python.org/specifications/simple-repository-api/, JSON and HTML) says where the
file is and what its hash is. Files are kept in the cache; what is there needs no network.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import requests
from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import InvalidVersion, Version

from srl_swe.errors import StorageError, TaskError
from srl_swe.sandbox.cache import cache_dir

_DEFAULT_INDEX = "https://pypi.org/simple"
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_LARGEST = 300_000_000


def fetch_sdist(package: str, version: str) -> Path:
    """Return the source distribution of a release, downloaded if it is not in the cache.

    Raises:
        TaskError: there is no such release or it has no source distribution, or the index cannot be reached.
    """
    try:
        wanted = Version(version)
    except InvalidVersion:
        raise TaskError(f"{version!r} is not a version number") from None
    folder = cache_dir() / "sdists"
    folder.mkdir(exist_ok=True)
    for path in sorted(folder.iterdir()):
        if _is_release(path.name, package, wanted) and _is_whole(path):
            return path
    files = _listing(package)
    found = [file for file in files if _is_release(file.name, package, wanted)]
    if not found:
        raise TaskError(f"{_index()[0]} has no source distribution of {package} {version}")
    # .tar.gz first: .zip loses file modes.
    best = min(found, key=lambda file: not file.name.endswith(".tar.gz"))
    return _download(best, folder / best.name)


def unpack(sdist: Path, target: Path) -> None:
    """Unpack a source distribution so that ``target`` holds what is in its one top folder.

    Raises:
        TaskError: it is broken, or holds something unsafe (a path outside, a device).
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        scratch = Path(name)
        try:
            if sdist.name.endswith(".zip"):
                with zipfile.ZipFile(sdist) as archive:
                    _check_size(sdist, sum(info.file_size for info in archive.infolist()))
                    archive.extractall(scratch)
            else:
                with tarfile.open(sdist) as archive:
                    _check_size(sdist, sum(member.size for member in archive.getmembers()))
                    archive.extractall(scratch, filter="data")
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
            raise TaskError(f"{sdist}: not a source distribution that can be unpacked safely: {error}") from None
        top = [path for path in scratch.iterdir() if path.is_dir()]
        if len(top) != 1:
            raise TaskError(f"{sdist}: expected one folder at the top of the source distribution, found {len(top)}")
        top[0].rename(target)


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """A release that has a source distribution."""

    version: str
    """As the index spells it."""
    day: str = ""
    """When it was uploaded, such as ``2023-10-06``; empty where the index does not say."""


@lru_cache(maxsize=256)
def list_releases(package: str) -> tuple[Release, ...]:
    """The final releases of a package that have a source distribution, oldest version first.

    By version and not by day: successive releases of one line differ least.

    Raises:
        TaskError: there is no such package, or the index cannot be reached.
    """
    found: dict[Version, Release] = {}
    for file in _listing(package):
        try:
            name, version = parse_sdist_filename(file.name)
        except InvalidSdistFilename:
            continue
        if name == canonicalize_name(package) and not version.is_prerelease:
            found[version] = Release(version=str(version), day=file.uploaded[:10])
    return tuple(found[version] for version in sorted(found))


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    name: str
    url: str
    sha256: str
    uploaded: str = ""


class _Links(HTMLParser):
    """The ``href``s of an index page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for key, value in attrs if key == "href" and value]


def _listing(package: str) -> list[_File]:
    index, _ = _index()
    address = f"{index.rstrip('/')}/{canonicalize_name(package)}/"
    response = _get(address, accept=_ACCEPT)
    if response.status_code == 404:
        raise TaskError(f"{index} has no package {package!r}")
    if not response.ok:
        raise TaskError(f"{address}: the package index answered {response.status_code} {response.reason}")
    try:
        if "json" in response.headers.get("Content-Type", ""):
            entries = response.json()["files"]
            return [
                _File(
                    name=e["filename"],
                    url=urljoin(response.url, e["url"]),
                    sha256=e.get("hashes", {}).get("sha256", ""),
                    uploaded=e.get("upload-time") or "",
                )
                for e in entries
            ]
        links = _Links()
        links.feed(response.text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TaskError(f"{address}: the package index's answer is not understood: {error}") from None
    files = []
    for link in links.found:
        url, fragment = urldefrag(urljoin(response.url, link))
        sha256 = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""
        files.append(_File(name=Path(urlsplit(url).path).name, url=url, sha256=sha256))
    return files


def _download(file: _File, target: Path) -> Path:
    response = _get(file.url)
    if not response.ok:
        raise TaskError(f"{file.url}: the package index answered {response.status_code} {response.reason}")
    content = response.content
    sha256 = hashlib.sha256(content).hexdigest()
    if file.sha256 and sha256 != file.sha256.lower():
        raise TaskError(f"{file.url}: SHA-256 is {sha256}, the index says {file.sha256}")
    try:
        # The hash first: a file without one is not taken for whole.
        _replace(target.with_name(target.name + ".sha256"), sha256.encode())
        _replace(target, content)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror or error}") from None
    return target


def _replace(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as scratch:
        try:
            scratch.write(content)
            scratch.flush()
            Path(scratch.name).replace(path)
        except BaseException:
            Path(scratch.name).unlink(missing_ok=True)
            raise


def _get(url: str, *, accept: str = "*/*") -> requests.Response:
    certificate = _index()[1]
    try:
        # Accept-Encoding: a .tar.gz must arrive as it is.
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        return requests.get(url, headers=headers, timeout=(20, 120), verify=certificate or True)
    except requests.RequestException as error:
        raise TaskError(f"{url}: the package index cannot be reached: {error}") from None


@lru_cache(maxsize=1)
def _index() -> tuple[str, str]:
    """(URL of the package index, file with certificates or empty), as pip is configured."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    settings: dict[str, str] = {}
    parser = configparser.RawConfigParser(default_section="-")
    with contextlib.suppress(configparser.Error):
        parser.read_string("[pip]\n" + listed.stdout)
        settings = {key: value.strip("'\"") for key, value in parser["pip"].items()}

    def setting(name: str) -> str:
        for key in (f":env:.{name}", f"download.{name}", f"install.{name}", f"global.{name}"):
            if settings.get(key):
                return settings[key]
        return os.environ.get("PIP_" + name.upper().replace("-", "_"), "")

    return setting("index-url") or _DEFAULT_INDEX, setting("cert")


def _is_release(filename: str, package: str, version: Version) -> bool:
    try:
        name, found = parse_sdist_filename(filename)
    except InvalidSdistFilename:
        return False
    return name == canonicalize_name(package) and found == version


def _is_whole(path: Path) -> bool:
    expected = path.with_name(path.name + ".sha256")
    return expected.is_file() and expected.read_text().strip() == hashlib.sha256(path.read_bytes()).hexdigest()


def _check_size(sdist: Path, size: int) -> None:
    if size > _LARGEST:
        raise TaskError(f"{sdist}: unpacks to {size:,} bytes, more than the {_LARGEST:,} that are taken")
