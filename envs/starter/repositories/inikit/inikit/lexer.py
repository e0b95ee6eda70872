"""Lines to tokens."""

from dataclasses import dataclass

from inikit.errors import ParseError

COMMENT_MARKS = "#;"


@dataclass(frozen=True)
class Token:
    """One line. kind: blank, comment, section, option or more."""

    kind: str
    line: int
    key: str = ""
    value: str = ""


def strip_comment(text):
    """Cut a comment off a value: a mark after a space, not in quotes.

    Only a quote at the very start opens a quoted part.
    """
    quote = text[:1] if text[:1] in ("'", '"') else ""
    before = " "
    for index, char in enumerate(text):
        if quote:
            if index > 0 and char == quote and before != "\\":
                quote = ""
        elif char in COMMENT_MARKS and before.isspace():
            return text[:index].rstrip()
        before = char
    return text.rstrip()


def unquote(text):
    """Take a pair of quotes off a value; inside them \\" is a quote."""
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "\"'":
        return text
    quote = text[0]
    return text[1:-1].replace("\\" + quote, quote)


def split_option(text, line):
    """Split `key = value` or `key: value` at the first mark."""
    places = [text.index(mark) for mark in "=:" if mark in text]
    if not places:
        raise ParseError(f"expected 'key = value', got {text!r}", line)
    cut = min(places)
    key = text[:cut].strip()
    if not key:
        raise ParseError("the key is missing", line)
    return key, text[cut + 1 :].strip()


def read_line(text, line):
    """The token of one line."""
    stripped = text.strip()
    if not stripped:
        return Token("blank", line)
    if stripped[0] in COMMENT_MARKS:
        return Token("comment", line, value=stripped[1:].strip())
    if text[0].isspace():
        return Token("more", line, value=strip_comment(stripped))
    if stripped[0] == "[":
        head = strip_comment(stripped)
        if head[-1] != "]":
            raise ParseError("the section name is not closed", line)
        return Token("section", line, key=head[1:-1].strip())
    key, value = split_option(stripped, line)
    return Token("option", line, key, unquote(strip_comment(value)))


def tokenize(text):
    """All tokens of a text; lines count from 1."""
    lines = text.splitlines()
    return [read_line(line, number) for number, line in enumerate(lines, 1)]
