"""Account names and the chart of accounts.

An account is named by a path such as ``assets:bank:checking``. The first part
is its kind, which decides on which side the account normally stands.
"""

from dataclasses import dataclass
from datetime import date
from typing import Optional

from ledger.errors import AccountError

KINDS = ("assets", "liabilities", "equity", "income", "expenses")
DEBIT_KINDS = ("assets", "expenses")


def normalise(name):
    """Trim and lower-case every part of an account name."""
    parts = [part.strip().lower() for part in name.split(":")]
    if not all(parts):
        raise AccountError(f"empty part in account name {name!r}")
    if parts[0] not in KINDS:
        raise AccountError(f"unknown kind of account: {parts[0]!r}")
    return ":".join(parts)


def parent(name):
    """The account above, or None for a top-level account."""
    head, _, _ = name.rpartition(":")
    return head or None


@dataclass
class Account:
    name: str
    opened: Optional[date] = None
    closed: Optional[date] = None

    @property
    def kind(self):
        return self.name.split(":", 1)[0]

    @property
    def debit_normal(self):
        return self.kind in DEBIT_KINDS

    def is_open(self, day):
        """Whether postings are allowed on `day` (both ends included)."""
        if self.opened is not None and day < self.opened:
            return False
        return self.closed is None or day <= self.closed


class Chart:
    """The accounts that may be posted to."""

    def __init__(self):
        self._accounts = {}

    def __contains__(self, name):
        return normalise(name) in self._accounts

    def __len__(self):
        return len(self._accounts)

    def names(self):
        """All account names, sorted."""
        return sorted(self._accounts)

    def open(self, name, opened=None):
        """Open an account, and the accounts above it where missing."""
        name = normalise(name)
        if name in self._accounts:
            raise AccountError(f"account already open: {name}")
        above = parent(name)
        if above is not None and above not in self._accounts:
            self.open(above, opened)
        account = Account(name, opened)
        self._accounts[name] = account
        return account

    def close(self, name, day):
        """Allow no postings after `day`."""
        account = self.get(name)
        if account.opened is not None and day < account.opened:
            raise AccountError(f"{name} was not open on {day}")
        account.closed = day

    def get(self, name):
        try:
            return self._accounts[normalise(name)]
        except KeyError:
            raise AccountError(f"no such account: {name}") from None

    def subtree(self, name):
        """The account and all accounts below it, sorted by name."""
        name = self.get(name).name
        below = name + ":"
        return [n for n in self.names() if n == name or n.startswith(below)]
