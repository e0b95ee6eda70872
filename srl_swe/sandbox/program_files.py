"""Files in and out of a sandbox, by a small program started in it for each: what its user may not, we may not.

Not by the engine's own calls: they act as root, and follow links that were laid for them. Not by a session's shell:
``cat`` may mean something else there.
"""

from __future__ import annotations

import time

from srl_swe.errors import SandboxError
from srl_swe.sandbox.enclosure import Enclosure

MOST_BYTES = 1 << 28
"""The largest file that is read."""
_PATIENCE_S = 60.0
"""How long a program may say nothing: one that waits for a trap that was laid for it waits for ever."""
_FINE = b"\nfine"

# The kind of a file is asked before it is opened, because a FIFO holds up who opens it.
_CHECK = r"""
say() { printf 'cannot %s' "$*"; exit 1; }
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec 2>&1
# The name's own line ends are kept, which a substitution alone would drop.
resolve() { place=$(readlink -f -- "$1" && printf x) && place=${place%?x}; }
away() { case $1 in /proc|/proc/*|/sys|/sys/*|/dev|/dev/*) say "$2: not on the sandbox's disk" ;; esac; }
"""
_READ = (
    _CHECK
    + r"""
resolve "$1" || say "read: no such file"
away "$place" read
[ -e "$place" ] || say "read: no such file"
[ -f "$place" ] || say "read: not a regular file"
[ -r "$place" ] || say "read: permission denied"
size=$(stat -c %s -- "$place") || say "read: it has gone"
[ "$size" -le "$2" ] || say "read: too large ($size bytes)"
exec 3<"$place" || exit 1
printf '%s\n' "$size"
head -c "$size" <&3 && printf '\nfine'
"""
)
# Written beside it and put in its place: a link is replaced and not followed, and nobody sees half a file.
_WRITE = (
    _CHECK
    + r"""
[ -d "$1" ] && say "write: it is a folder"
folder=${1%/*} name=${1##*/}
case $name in ''|.|..) say "write: names no file" ;; esac
mkdir -p -- "${folder:-/}" || exit 1
resolve "${folder:-/}" || say "write: its folder cannot be made"
away "$place/$name" write
cd -- "$place" || exit 1
new=$(mktemp ./.srl-swe.XXXXXXXX) || exit 1
trap 'rm -f -- "$new"' EXIT
printf ready
head -c "$2" >"$new" || exit 1
if [ -f "./$name" ] && [ ! -L "./$name" ]; then chmod --reference="./$name" -- "$new"; else chmod 644 -- "$new"; fi
mv -T -- "$new" "./$name" && trap - EXIT && printf '\nfine'
"""
)


def read_file(enclosure: Enclosure, path: str) -> bytes:
    """Return a regular file's content.

    Args:
        enclosure: Where it is.
        path: Absolute.

    Raises:
        SandboxError: it cannot be read; the path is named.
    """
    said = _talk(enclosure, _READ, path, MOST_BYTES, b"")
    head, line_end, content = said.partition(b"\n")
    # Both: a file that was changed meanwhile is not as long as it was.
    if not (line_end and head.isdigit() and content.endswith(_FINE) and len(content) == int(head) + len(_FINE)):
        raise SandboxError(f"{path}: {_reason(said)}")
    return content[: -len(_FINE)]


def write_file(enclosure: Enclosure, path: str, data: bytes) -> None:
    """Write a file, as `srl_swe.sandbox.protocol.Sandbox.write_file` says.

    Raises:
        SandboxError: it cannot be written; the path is named.
    """
    said = _talk(enclosure, _WRITE, path, len(data), data)
    if said != b"ready" + _FINE:
        raise SandboxError(f"{path}: {_reason(said.removeprefix(b'ready'))}")


def _talk(enclosure: Enclosure, script: str, path: str, number: int, data: bytes) -> bytes:
    """Start a script, give it the data once it is ready, and return all that it says."""
    if "\0" in path:
        raise SandboxError(f"{path!r}: a path cannot hold a NUL character")
    command = ("bash", "--noprofile", "--norc", "-c", script, "bash", path, str(number))
    channel = enclosure.start(command)
    said = bytearray()
    waiting_for_data = bool(data)
    try:
        heard = time.monotonic()
        while (piece := channel.receive(1.0)) != b"":
            if piece:
                said += piece
                heard = time.monotonic()
            elif time.monotonic() - heard > _PATIENCE_S:
                raise SandboxError(f"{path}: nothing came for {_PATIENCE_S:g} seconds")
            if waiting_for_data and said == b"ready":
                waiting_for_data = False
                channel.send(data)
    finally:
        channel.hang_up()
        channel.close()
    return bytes(said)


def _reason(said: bytes) -> str:
    """Return the last that was said, without the name of the program that said it."""
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].removeprefix("bash: ")[:300] if lines else "it could not be done"
