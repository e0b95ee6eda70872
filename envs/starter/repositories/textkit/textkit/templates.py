"""Templates with ``{{ name | filter }}`` and ``{% if name %} … {% end %}``.

Names may be dotted: ``{{ user.name }}`` looks up keys, then attributes.
"""

import re

from textkit.errors import TemplateError
from textkit.filters import FilterSet
from textkit.tokens import split_arguments

_TAG = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.DOTALL)


def lookup(name, values):
    """The value of a dotted name, or None where any part is missing."""
    current = values
    for part in name.split("."):
        if isinstance(current, dict):
            current = current.get(part)
        else:
            current = getattr(current, part, None)
        if current is None:
            return None
    return current


def evaluate(expression, values, filters):
    """The text of ``name | filter argument | filter``."""
    name, *calls = [part.strip() for part in expression.split("|")]
    if not name:
        raise TemplateError("empty expression")
    value = lookup(name, values)
    for call in calls:
        filter_name, *arguments = split_arguments(call) or [""]
        value = filters.apply(filter_name, value, arguments)
    return "" if value is None else str(value)


def _holds(condition, values):
    words = condition.split()
    negated = words[0] == "not"
    if len(words) != 1 + negated:
        raise TemplateError(f"cannot read condition {condition!r}")
    return bool(lookup(words[-1], values)) != negated


def render(template, values, filters=None):
    """Fill in a template; missing names become empty text."""
    filters = filters or FilterSet()
    output = []
    shown = [True]
    position = 0
    for match in _TAG.finditer(template):
        if shown[-1]:
            output.append(template[position : match.start()])
        position = match.end()
        if match[1] is not None:
            if shown[-1]:
                output.append(evaluate(match[1], values, filters))
            continue
        keyword, _, rest = match[2].strip().partition(" ")
        if keyword == "if" and rest.strip():
            shown.append(shown[-1] and _holds(rest, values))
        elif keyword == "end" and len(shown) > 1:
            shown.pop()
        else:
            raise TemplateError(f"unexpected tag {match[0]!r}")
    if len(shown) > 1:
        raise TemplateError("an if is not closed")
    output.append(template[position:])
    return "".join(output)
