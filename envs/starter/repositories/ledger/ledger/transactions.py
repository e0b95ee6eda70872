"""Postings, and the balanced transactions made of them."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date

from ledger.accounts import normalise
from ledger.errors import UnbalancedError
from ledger.money import Money


@dataclass(frozen=True)
class Posting:
    """One leg of a transaction: positive amounts are debits."""

    account: str
    amount: Money
    memo: str = ""


class Transaction:
    """What happened on one day, as postings that sum to zero."""

    def __init__(self, day, description, postings=(), tags=None):
        if not isinstance(day, date):
            raise TypeError("day must be a date")
        self.day = day
        self.description = description
        self.postings = list(postings)
        self.tags = set(tags or ())

    def __repr__(self):
        return f"Transaction({self.day}, {self.description!r})"

    def add(self, account, amount, memo=""):
        """Append a posting; returns the transaction, so calls chain."""
        self.postings.append(Posting(normalise(account), amount, memo))
        return self

    def tag(self, *names):
        """Add tags; returns the transaction, so calls chain."""
        self.tags.update(name.strip().lower() for name in names)
        return self

    def totals(self):
        """The sum of the postings in each currency."""
        sums = defaultdict(int)
        for posting in self.postings:
            sums[posting.amount.currency] += posting.amount.minor
        return [Money(minor, currency) for currency, minor in sorted(sums.items())]

    def check(self):
        """Raise UnbalancedError unless every currency sums to zero."""
        off = [total for total in self.totals() if total]
        if off:
            raise UnbalancedError(self.description, off)

    def balance_with(self, account):
        """Post whatever is missing to `account`."""
        for total in self.totals():
            if total:
                self.add(account, -total)
        return self

    def reverse(self, day, description=None):
        """The transaction that undoes this one, dated `day`."""
        if description is None:
            description = f"Reversal: {self.description}"
        undone = Transaction(day, description, tags=self.tags)
        for posting in self.postings:
            undone.add(posting.account, -posting.amount, posting.memo)
        return undone
