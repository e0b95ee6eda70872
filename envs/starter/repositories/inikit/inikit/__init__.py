"""INI-like configuration files."""

from inikit.document import Document, Section
from inikit.errors import InikitError, InterpolationError, ParseError, ValueFormatError
from inikit.merge import changes, merge
from inikit.parser import parse
from inikit.writer import dump

__all__ = [
    "Document",
    "InikitError",
    "InterpolationError",
    "ParseError",
    "Section",
    "ValueFormatError",
    "changes",
    "dump",
    "merge",
    "parse",
]
