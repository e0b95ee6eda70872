"""Fitting text into a given width."""

from textkit.errors import TextError


def _pieces(word, width):
    """Cut a word that is longer than a line."""
    return [word[i : i + width] for i in range(0, len(word), width)]


def wrap_paragraph(text, width):
    """Fill lines of at most `width` characters with the words of `text`."""
    lines = []
    line = ""
    for word in text.split():
        for piece in _pieces(word, width):
            if not line:
                line = piece
            elif len(line) + 1 + len(piece) <= width:
                line += " " + piece
            else:
                lines.append(line)
                line = piece
    if line:
        lines.append(line)
    return lines


def wrap(text, width=72):
    """Wrap each paragraph; paragraphs stay apart by one empty line."""
    if width < 1:
        raise TextError("width must be at least 1")
    lines = []
    for paragraph in text.split("\n\n"):
        wrapped = wrap_paragraph(paragraph, width)
        if not wrapped:
            continue
        if lines:
            lines.append("")
        lines.extend(wrapped)
    return lines


def indent(text, prefix="    ", first=None):
    """Put `prefix` before every line that is not blank.

    `first` is used instead for the first line, as in a bullet point.
    """
    result = []
    for number, line in enumerate(text.split("\n")):
        lead = first if first is not None and number == 0 else prefix
        result.append(lead + line if line.strip() else line)
    return "\n".join(result)


def _margin(line):
    return len(line) - len(line.lstrip(" "))


def dedent(text):
    """Remove the spaces that all lines share; blank lines do not count."""
    lines = text.split("\n")
    margins = [_margin(line) for line in lines if line.strip()]
    cut = min(margins, default=0)
    return "\n".join(line[cut:] if line.strip() else "" for line in lines)


def truncate(text, width, ellipsis="..."):
    """Shorten to `width` characters, at the end of a word if possible."""
    if len(text) <= width:
        return text
    room = width - len(ellipsis)
    if room <= 0:
        return ellipsis[:width]
    head = text[:room]
    if not text[room].isspace() and " " in head:
        head = head[: head.rindex(" ")]
    return head.rstrip() + ellipsis
