"""Tables with aligned columns."""

from textkit.errors import TextError


def _cell(value):
    """The text of a cell: one line, None is empty."""
    if value is None:
        return ""
    return " ".join(str(value).split())


def _is_number(text):
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True


def column_widths(rows):
    """The widest cell of each column; short rows are allowed."""
    widths = []
    for row in rows:
        for column, cell in enumerate(row):
            if column == len(widths):
                widths.append(0)
            widths[column] = max(widths[column], len(cell))
    return widths


def alignments(rows, count):
    """``>`` for columns of numbers, ``<`` for all others.

    Empty cells are passed over; a column without any text is left-aligned.
    """
    result = []
    for column in range(count):
        cells = [row[column] for row in rows if column < len(row)]
        filled = [cell for cell in cells if cell]
        numeric = bool(filled) and all(_is_number(cell) for cell in filled)
        result.append(">" if numeric else "<")
    return "".join(result)


def _line(row, widths, align):
    cells = list(row) + [""] * (len(widths) - len(row))
    return [f"{cell:{a}{w}}" for cell, a, w in zip(cells, align, widths)]


def table(rows, header=None, align=None, gap="  "):
    """Rows as plain text; numbers are right-aligned unless `align` says so."""
    body = [[_cell(value) for value in row] for row in rows]
    head = [[_cell(value) for value in header]] if header else []
    widths = column_widths(head + body)
    if align is None:
        align = alignments(body, len(widths))
    if len(align) < len(widths):
        raise TextError("align has fewer letters than there are columns")
    lines = [gap.join(_line(row, widths, align)) for row in head + body]
    if head:
        lines.insert(1, gap.join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def markdown(rows, header):
    """Rows as a Markdown table; pipes in cells are escaped."""

    def line(cells):
        return "| " + " | ".join(cells) + " |"

    body = [[_cell(v).replace("|", "\\|") for v in row] for row in rows]
    align = alignments(body, len(header))
    rules = ["---:" if letter == ">" else "---" for letter in align]
    lines = [line([_cell(v).replace("|", "\\|") for v in header]), line(rules)]
    for row in body:
        lines.append(line(row + [""] * (len(header) - len(row))))
    return "\n".join(lines)
