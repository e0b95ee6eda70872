"""Names that are safe in URLs and file names."""

import re
import unicodedata

SPECIAL = {"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "&": " and "}


def to_ascii(text):
    """Replace letters by their nearest ASCII letters; drop the rest."""
    for letter, replacement in SPECIAL.items():
        text = text.replace(letter, replacement)
    decomposed = unicodedata.normalize("NFKD", text)
    return decomposed.encode("ascii", "ignore").decode("ascii")


def slugify(text, separator="-", max_length=0):
    """Lower-case words joined by `separator`.

    With `max_length`, whole words are dropped from the end to fit; a first
    word that is too long on its own is cut.
    """
    text = to_ascii(text.lower())
    text = re.sub(r"['\u2019]", "", text)
    parts = re.findall(r"[a-z0-9]+", text)
    slug = separator.join(parts)
    if max_length and len(slug) > max_length:
        while len(parts) > 1 and len(separator.join(parts)) > max_length:
            parts.pop()
        slug = separator.join(parts)[:max_length]
    return slug


def unique_slug(text, taken, separator="-"):
    """A slug not in `taken`: ``name``, then ``name-2``, ``name-3`` …"""
    slug = slugify(text, separator) or "untitled"
    if slug not in taken:
        return slug
    number = 2
    while f"{slug}{separator}{number}" in taken:
        number += 1
    return f"{slug}{separator}{number}"
