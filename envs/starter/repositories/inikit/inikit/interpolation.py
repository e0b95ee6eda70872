"""`${name}` and `${section:name}` in values; `$$` is a dollar."""

import re

from inikit.document import fold
from inikit.errors import InterpolationError

_REFERENCE = re.compile(r"\$\$|\$\{([^{}]*)\}")


def split_reference(text, section):
    """The section and the key that a reference names."""
    if ":" in text:
        section, text = text.split(":", 1)
    return section.strip(), text.strip()


def expand(document, section, value, trail=None):
    """A value with all its references replaced."""

    def replace(match):
        if match[0] == "$$":
            return "$"
        name, key = split_reference(match[1], section)
        return lookup(document, name, key, trail)

    return _REFERENCE.sub(replace, value)


def lookup(document, section, key, trail=None):
    """An option with its references replaced.

    `trail` holds the options that led here.
    """
    trail = set() if trail is None else trail
    place = (fold(section), fold(key))
    if place in trail:
        raise InterpolationError(f"{section}:{key} names itself")
    value = document.get(section, key, None)
    if value is None:
        raise InterpolationError(f"no such option: {section}:{key}")
    return expand(document, section, value, trail | {place})


def references(value):
    """The texts of all references in a value, in order."""
    return [m[1] for m in _REFERENCE.finditer(value) if m[1] is not None]
