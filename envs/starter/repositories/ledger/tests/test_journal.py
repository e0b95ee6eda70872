from datetime import date

import pytest

from ledger import Chart, Journal, Money, Transaction
from ledger.errors import AccountError


@pytest.fixture
def journal():
    chart = Chart()
    chart.open("assets:cash", date(2024, 1, 1))
    chart.open("income:sales")
    journal = Journal(chart)
    for month, cents in [(3, 300), (1, 100), (2, 200)]:
        sale = Transaction(date(2024, month, 15), f"Sale {month}")
        sale.add("assets:cash", Money(cents), memo="till")
        journal.post(sale.balance_with("income:sales"))
    return journal


def test_sorted_by_date(journal):
    assert [t.description for t in journal] == ["Sale 1", "Sale 2", "Sale 3"]


def test_between(journal):
    found = journal.between(date(2024, 1, 20), date(2024, 2, 28))
    assert [t.description for t in found] == ["Sale 2"]


def test_balance(journal):
    assert journal.balance("assets") == Money(600)
    assert journal.balance("income", end=date(2024, 1, 31)) == Money(-100)


def test_search(journal):
    assert len(journal.search("TILL")) == 3
    assert len(journal.search("sale 2")) == 1


def test_closed_account(journal):
    early = Transaction(date(2023, 12, 31), "Early").add("assets:cash", Money(1))
    with pytest.raises(AccountError):
        journal.post(early.balance_with("income:sales"))
