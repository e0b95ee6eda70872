"""The filters that templates know, and how to add more."""

from textkit.errors import TemplateError
from textkit.slugs import slugify
from textkit.words import plural, title_case
from textkit.wrapping import truncate

BUILTIN = {
    "upper": str.upper,
    "lower": str.lower,
    "strip": str.strip,
    "title": title_case,
    "slug": slugify,
    "plural": plural,
}


def default(value, fallback=""):
    """The fallback where a value is missing or an empty string."""
    return fallback if value is None or value == "" else value


def shorten(value, width="40"):
    return truncate(str(value), int(width))


class FilterSet:
    """A set of named filters; changing one set leaves the others alone."""

    def __init__(self, extra=None):
        self._filters = dict(BUILTIN)
        self._filters.update(extra or {})

    def add(self, name, function):
        self._filters[name] = function

    def apply(self, name, value, arguments=()):
        """Run one filter; text filters get the value as text."""
        if name == "default":
            return default(value, *arguments)
        if name == "shorten":
            return shorten(value, *arguments)
        try:
            function = self._filters[name]
        except KeyError:
            raise TemplateError(f"unknown filter {name!r}") from None
        return function("" if value is None else str(value), *arguments)
