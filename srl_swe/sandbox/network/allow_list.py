"""What a sandbox may reach: the entries of `SandboxSpec.network`; and which addresses no entry can open."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from srl_swe.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
"""What is called by these names is the sandbox's own, unless the allow-list has the name: then it is the host's."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LONGEST_NAME = 253

# Where clouds keep credentials of the machine for whoever asks from it; the first two hold most of them.
_METADATA = tuple(
    ipaddress.ip_network(network)
    for network in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AllowList:
    """The pairs of host and port that may be reached."""

    entries: tuple[str, ...]
    """As they were given."""
    exact: frozenset[tuple[str, int]]
    """Host, in lower case and without brackets, and port."""
    below: frozenset[tuple[str, int]]
    """``.example.org`` and port: every name that ends so."""

    def permits(self, host: str, port: int) -> bool:
        """Whether a host may be reached at a port, going by its name; see `refusal` for its address."""
        if (host, port) in self.exact:
            return True
        return any(port == allowed and host.endswith(end) and host != end for end, allowed in self.below)

    def has_host(self, host: str) -> bool:
        """Whether a host is listed by this very name, at whatever port."""
        return any(host == listed for listed, _ in self.exact)


def parse_allowed(entries: Sequence[str]) -> AllowList:
    """Read the entries of an allow-list.

    An entry is ``HOST:PORT``: a name, an IPv4 address, an IPv6 address in brackets, or ``*.example.org`` for all names
    below ``example.org``, not for itself. ``localhost`` and loopback addresses are the host's.

    Raises:
        ConfigError: an entry is something else; it is named.
    """
    if isinstance(entries, str):
        raise ConfigError(f"network: expected a list of HOST:PORT, got the text {entries!r}")
    exact, below = set(), set()
    for entry in entries:
        host, port = _split(entry)
        if host.startswith("*"):
            below.add((_end(entry, host), port))
        else:
            exact.add((_host(entry, host), port))
    return AllowList(entries=tuple(entries), exact=frozenset(exact), below=frozenset(below))


def plain_host(text: str) -> str | None:
    """Return a host as the allow-list has it: lower case, no brackets, no last dot; ``None`` where it is none."""
    if text.startswith("[") and text.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            return None
    if text.count("."):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            pass
    host = text.lower().removesuffix(".")
    # The system's resolver takes `127.1` and `0x7f000001` for addresses; nobody else has to.
    if len(host) > _LONGEST_NAME or not _NAME.fullmatch(host) or _NUMBER.fullmatch(host.rpartition(".")[2]):
        return None
    return host


def is_loopback(host: str) -> bool:
    """Whether a host is loopback by its very name."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def refusal(host: str, address: Address) -> str | None:
    """Return why an address must not be connected to although its host is listed; ``None``: it may be."""
    literal = host == "localhost" or _is_address(host)
    for meant in _meanings(address):
        if any(meant in network for network in _METADATA if network.version == meant.version):
            return f"{address} is a link-local or metadata address, which no allow-list can open"
        if meant.is_unspecified or meant.is_multicast:
            return f"{address} is no address of one machine"
        if meant.is_loopback and not literal:
            return f"{address} is the host's loopback, which has to be listed as such and not by another name"
    return None


def _meanings(address: Address) -> list[Address]:
    """The address, and the IPv4 one that it stands for."""
    found: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            found.append(address.ipv4_mapped)
        elif address in _NAT64 or 1 < int(address) < 1 << 32:
            found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        elif address.sixtofour is not None:
            found.append(address.sixtofour)
    return found


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _split(entry: str) -> tuple[str, int]:
    if not isinstance(entry, str):
        raise _wrong(str(entry), "it is no text")
    if "://" in entry:
        raise _wrong(entry, "it has a scheme")
    if re.search(r"[\s/@?#]", entry):
        raise _wrong(entry, "it is more than a host and a port")
    host, colon, port = entry.rpartition(":")
    if not colon or entry.endswith("]"):
        raise _wrong(entry, "the port is missing")
    if not host:
        raise _wrong(entry, "the host is missing")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise _wrong(entry, "an IPv6 address belongs in brackets")
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise _wrong(entry, f"the port {port!r} is none from 1 to 65535")
    return host, int(port)


def _end(entry: str, host: str) -> str:
    if host == "*":
        raise _wrong(entry, "a bare * would open everything")
    name = plain_host(host[2:]) if host.startswith("*.") else None
    if name is None or _is_address(name):
        raise _wrong(entry, "* stands for the first part of a name, in front of a dot")
    if "." not in name:
        raise _wrong(entry, "a whole top-level domain cannot be opened")
    return f".{name}"


def _host(entry: str, text: str) -> str:
    host = plain_host(text)
    if host is None:
        raise _wrong(entry, f"{text!r} is no name of a host and no address")
    if _is_address(host) and (why := refusal(host, ipaddress.ip_address(host))):
        raise _wrong(entry, why)
    return host


def _wrong(entry: str, why: str) -> ConfigError:
    return ConfigError(
        f"network entry {entry!r}: {why}; expected HOST:PORT, such as 'pypi.org:443', '127.0.0.1:8080', '[::1]:8080' "
        "or '*.example.org:443'"
    )
