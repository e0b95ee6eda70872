"""Reports over a journal."""

from dataclasses import dataclass
from datetime import date

from ledger.money import Money


@dataclass(frozen=True)
class StatementLine:
    day: date
    description: str
    amount: Money
    balance: Money


def trial_balance(journal, currency="EUR", end=None):
    """(account, debit, credit) of each account used, by name."""
    sums = {}
    for transaction in journal.between(end=end):
        for posting in transaction.postings:
            if posting.amount.currency == currency:
                before = sums.get(posting.account, Money.zero(currency))
                sums[posting.account] = before + posting.amount
    zero = Money.zero(currency)
    rows = []
    for account, total in sorted(sums.items()):
        if total.minor >= 0:
            rows.append((account, total, zero))
        else:
            rows.append((account, zero, -total))
    return rows


def statement(journal, account, start, end, currency="EUR"):
    """The postings of an account, and those below it, with the balance after each."""
    balance = journal.opening_balance(account, start, currency)
    lines = []
    for transaction, posting in journal.postings(account, start, end):
        if posting.amount.currency != currency:
            continue
        balance += posting.amount
        text = posting.memo or transaction.description
        lines.append(StatementLine(transaction.day, text, posting.amount, balance))
    return lines


def monthly_totals(journal, account, currency="EUR"):
    """The sum of an account and those below it in each month.

    Keys look like ``2024-03``. Amounts are positive on the side where the
    account normally stands, so income is shown as a positive number.
    """
    names = set(journal.chart.subtree(account))
    sign = 1 if journal.chart.get(account).debit_normal else -1
    totals = {}
    for transaction in journal:
        month = f"{transaction.day:%Y-%m}"
        for posting in transaction.postings:
            if posting.account in names and posting.amount.currency == currency:
                minor = totals.get(month, 0) + sign * posting.amount.minor
                totals[month] = minor
    return {month: Money(minor, currency) for month, minor in totals.items()}


def net_income(journal, start, end, currency="EUR"):
    """Income less expenses from `start` to `end`."""
    net = Money.zero(currency)
    for transaction in journal.between(start, end):
        for posting in transaction.postings:
            kind = journal.chart.get(posting.account).kind
            if kind in ("income", "expenses"):
                if posting.amount.currency == currency:
                    net -= posting.amount
    return net


def render(rows, width=28):
    """A trial balance as text, with totals in the last line."""
    lines = []
    debits = credits = 0
    for account, debit, credit in rows:
        left = debit.format() if debit else ""
        right = credit.format() if credit else ""
        lines.append(f"{account:<{width}}{left:>12}{right:>12}")
        debits += debit.minor
        credits += credit.minor
    if rows:
        currency = rows[0][1].currency
        left = Money(debits, currency).format()
        right = Money(credits, currency).format()
        lines.append(f"{'total':<{width}}{left:>12}{right:>12}")
    return "\n".join(line.rstrip() for line in lines)
