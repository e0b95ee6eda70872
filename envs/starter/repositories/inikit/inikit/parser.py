"""Tokens to a document."""

from inikit.document import DEFAULTS, Document
from inikit.errors import ParseError
from inikit.lexer import tokenize


class Parser:
    """Reads one text. With `strict` an option may be set only once."""

    def __init__(self, strict=True):
        self.strict = strict
        self.document = Document()
        self.section = None
        self.key = ""
        self.seen = set()

    def feed(self, token):
        if token.kind == "section":
            self.open_section(token)
        elif token.kind == "option":
            self.set_option(token)
        elif token.kind == "more":
            self.extend_option(token)
        elif token.kind == "blank":
            self.key = ""

    def open_section(self, token):
        if not token.key:
            raise ParseError("the section has no name", token.line)
        self.section = self.document.section(token.key, create=True)
        self.key = ""

    def set_option(self, token):
        if self.section is None:
            self.section = self.document.section(DEFAULTS, create=True)
        place = (self.section.name.lower(), token.key.lower())
        if self.strict and place in self.seen:
            raise ParseError(f"option set twice: {token.key}", token.line)
        self.seen.add(place)
        self.section.set(token.key, token.value)
        self.key = token.key

    def extend_option(self, token):
        if self.section is None or not self.key:
            raise ParseError("this line continues nothing", token.line)
        before = self.section.get(self.key)
        text = f"{before}\n{token.value}" if before else token.value
        self.section.set(self.key, text)


def parse(text, strict=True):
    """Read a configuration file from a text."""
    parser = Parser(strict)
    for token in tokenize(text):
        parser.feed(token)
    return parser.document


def parse_file(path, strict=True):
    """Read a configuration file from a path."""
    with open(path, encoding="utf-8-sig") as stream:
        return parse(stream.read(), strict)
