"""A document as text."""

from inikit.lexer import COMMENT_MARKS

INDENT = "    "


def needs_quotes(value):
    """Whether a one-line value would not be read back as it is."""
    if value != value.strip():
        return True
    if value[:1] in ("'", '"'):
        return True
    return any(mark in value for mark in COMMENT_MARKS)


def quote(value):
    """A value in double quotes."""
    return '"' + value.replace('"', '\\"') + '"'


def format_value(value):
    """A value as it stands after the equals sign."""
    lines = value.split("\n")
    if len(lines) == 1:
        return quote(value) if needs_quotes(value) else value
    return "".join(f"\n{INDENT}{line}" for line in lines)


def format_option(key, value, width=0):
    text = format_value(value)
    gap = "" if not text or text.startswith("\n") else " "
    return f"{key.ljust(width)} ={gap}{text}"


def format_section(section, align=False):
    """The lines of a section."""
    keys = section.keys()
    width = max((len(key) for key in keys), default=0) if align else 0
    lines = [f"[{section.name}]"]
    for key, value in section.items():
        lines.append(format_option(key, value, width))
    return lines


def dump(document, align=False):
    """The whole document; a blank line between sections."""
    blocks = ["\n".join(format_section(s, align)) for s in document]
    return "\n\n".join(blocks) + "\n" if blocks else ""


def dump_file(document, path, align=False):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(dump(document, align))
