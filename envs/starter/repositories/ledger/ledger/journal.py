"""The posted transactions, in order of date, and queries over them."""

from bisect import insort
from datetime import timedelta

from ledger.accounts import Chart
from ledger.errors import AccountError
from ledger.money import Money


def _day(transaction):
    return transaction.day


class Journal:
    def __init__(self, chart=None):
        self.chart = chart if chart is not None else Chart()
        self._transactions = []

    def __len__(self):
        return len(self._transactions)

    def __iter__(self):
        return iter(self._transactions)

    def post(self, transaction):
        """Check a transaction and put it behind those of the same day."""
        transaction.check()
        for posting in transaction.postings:
            account = self.chart.get(posting.account)
            if not account.is_open(transaction.day):
                message = f"{account.name} is not open on {transaction.day}"
                raise AccountError(message)
        insort(self._transactions, transaction, key=_day)

    def between(self, start=None, end=None):
        """Transactions from `start` to `end`, both days included."""
        found = []
        for transaction in self._transactions:
            if start is not None and transaction.day < start:
                continue
            if end is not None and transaction.day > end:
                break
            found.append(transaction)
        return found

    def tagged(self, *tags):
        """Transactions that carry all the tags."""
        wanted = {tag.strip().lower() for tag in tags}
        return [t for t in self._transactions if wanted <= t.tags]

    def search(self, text):
        """Transactions whose description or a memo holds `text`."""
        text = text.casefold()
        found = []
        for transaction in self._transactions:
            texts = [transaction.description]
            texts += [posting.memo for posting in transaction.postings]
            if any(text in candidate.casefold() for candidate in texts):
                found.append(transaction)
        return found

    def postings(self, account, start=None, end=None):
        """Pairs (transaction, posting) of an account and those below it."""
        names = set(self.chart.subtree(account))
        return [
            (transaction, posting)
            for transaction in self.between(start, end)
            for posting in transaction.postings
            if posting.account in names
        ]

    def balance(self, account, currency="EUR", end=None):
        """The sum of an account and those below it, up to `end`."""
        names = set(self.chart.subtree(account))
        total = Money.zero(currency)
        for transaction in self.between(end=end):
            for posting in transaction.postings:
                if posting.account not in names:
                    continue
                if posting.amount.currency == currency:
                    total += posting.amount
        return total

    def opening_balance(self, account, start, currency="EUR"):
        """The balance at the end of the day before `start`."""
        day_before = start - timedelta(days=1)
        return self.balance(account, currency, end=day_before)
