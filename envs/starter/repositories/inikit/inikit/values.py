"""Typed getters."""

import re

from inikit.errors import ValueFormatError
from inikit.interpolation import lookup

TRUE = {"1", "yes", "true", "on"}
FALSE = {"0", "no", "false", "off"}

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}

_PART = re.compile(r"(\d+)\s*([smhd])")
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*([bkmg]?)$")


def to_bool(text):
    word = text.strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise ValueFormatError(f"not a boolean: {text!r}")


def to_int(text):
    """Whole numbers; 0x, 0o and 0b prefixes and underscores are fine."""
    try:
        return int(text.strip(), 0)
    except ValueError:
        raise ValueFormatError(f"not a whole number: {text!r}") from None


def to_list(text):
    """Items between commas or on lines of their own; empty ones drop out."""
    items = re.split(r"[,\n]", text)
    return [item.strip() for item in items if item.strip()]


def to_seconds(text):
    """`90`, `45s`, `1h 30m`, `2d`."""
    text = text.strip().lower()
    if text.isdigit():
        return int(text)
    rest = _PART.sub("", text)
    if not text or rest.strip():
        raise ValueFormatError(f"not a duration: {text!r}")
    parts = _PART.findall(text)
    return sum(int(number) * SECONDS[unit] for number, unit in parts)


def to_bytes(text):
    """`512`, `4k`, `1.5m`, `2g`; powers of 1024."""
    match = _SIZE.match(text.strip().lower())
    if match is None:
        raise ValueFormatError(f"not a size: {text!r}")
    return int(float(match[1]) * BYTES[match[2]])


TYPES = {
    "bool": to_bool,
    "bytes": to_bytes,
    "int": to_int,
    "list": to_list,
    "seconds": to_seconds,
    "text": str,
}


def get_value(document, section, key, kind="text", default=None):
    """An option, references replaced, as the wanted kind.

    The default comes back as it is where the option is not set.
    """
    if kind not in TYPES:
        raise ValueError(f"unknown kind: {kind}")
    if document.get(section, key, None) is None:
        return default
    return TYPES[kind](lookup(document, section, key))
