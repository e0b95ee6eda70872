"""What can go wrong."""


class InikitError(Exception):
    """The base of all errors of this package."""


class ParseError(InikitError):
    """The text is not a configuration file."""

    def __init__(self, message, line):
        super().__init__(f"line {line}: {message}")
        self.line = line


class InterpolationError(InikitError):
    """A `${...}` names nothing, or itself."""


class ValueFormatError(InikitError):
    """A value cannot be read as the wanted type."""
