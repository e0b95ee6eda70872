"""Words in English sentences, and names in programs."""

import re

IRREGULAR = {"person": "people", "child": "children", "mouse": "mice"}
SMALL_WORDS = {"a", "an", "and", "at", "in", "of", "on", "or", "the", "to"}


def plural(word):
    """The plural of an English noun, for the common cases."""
    if word.lower() in IRREGULAR:
        result = IRREGULAR[word.lower()]
        return result.capitalize() if word[0].isupper() else result
    if re.search(r"(s|x|z|ch|sh)$", word):
        return word + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + "s"


def quantity(count, word):
    """``1 file``, ``2 files``, ``no files``."""
    noun = word if count == 1 else plural(word)
    return f"{count or 'no'} {noun}"


def join_words(items, last="and"):
    """``a``, ``a and b``, ``a, b and c``."""
    items = [str(item) for item in items]
    if len(items) <= 1:
        return "".join(items)
    return ", ".join(items[:-1]) + f" {last} {items[-1]}"


def title_case(text):
    """Capitalise words, but not small ones inside the title."""
    parts = text.split()
    result = []
    for number, word in enumerate(parts):
        inside = 0 < number < len(parts) - 1
        if inside and word.lower() in SMALL_WORDS:
            result.append(word.lower())
        else:
            result.append(word[:1].upper() + word[1:])
    return " ".join(result)


def snake_case(name):
    """``parseHTTPHeader`` becomes ``parse_http_header``."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"[\s\-_]+", "_", name).strip("_").lower()


def camel_case(name):
    """``parse_http_header`` becomes ``parseHttpHeader``."""
    first, *rest = snake_case(name).split("_")
    return first + "".join(part.capitalize() for part in rest)
