"""Errors raised by this package."""


class TextError(ValueError):
    """Base class of all errors raised by this package."""


class TemplateError(TextError):
    """A template cannot be read or filled in."""


class QuoteError(TextError):
    """A quoted argument is not closed."""

    def __init__(self, position):
        self.position = position
        super().__init__(f"quote opened at {position} is never closed")
