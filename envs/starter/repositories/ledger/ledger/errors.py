"""What can go wrong when keeping books."""


class LedgerError(Exception):
    """Base class of all errors raised by this package."""


class MoneyError(LedgerError):
    """An amount cannot be read, or two currencies do not mix."""


class AccountError(LedgerError):
    """An account name is malformed, unknown or already in use."""


class UnbalancedError(LedgerError):
    """The postings of a transaction do not sum to zero."""

    def __init__(self, description, totals):
        self.totals = totals
        shown = ", ".join(str(total) for total in totals)
        super().__init__(f"{description!r} is out of balance by {shown}")


class CsvError(LedgerError):
    """A line of a CSV file cannot be read."""

    def __init__(self, line, reason):
        self.line = line
        super().__init__(f"line {line}: {reason}")
