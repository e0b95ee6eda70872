from datetime import date

import pytest

from ledger import Chart, Journal, Money, Transaction
from ledger.errors import AccountError


@pytest.fixture
def chart():
    chart = Chart()
    for name in ("assets:cash:till", "assets:cashbox", "income:sales"):
        chart.open(name)
    return chart


def test_similar_name_is_not_below(chart):
    assert chart.subtree("assets:cash") == ["assets:cash", "assets:cash:till"]


def test_balance(chart):
    journal = Journal(chart)
    for account, cents in [("assets:cash:till", 300), ("assets:cashbox", 50)]:
        entry = Transaction(date(2024, 1, 2), "In").add(account, Money(cents))
        journal.post(entry.balance_with("income:sales"))
    assert journal.balance("assets:cash") == Money(300)


def test_whole_kind(chart):
    assert len(chart.subtree("assets")) == 4


def test_leaf(chart):
    assert chart.subtree("Assets:Cashbox") == ["assets:cashbox"]


def test_unknown_account(chart):
    with pytest.raises(AccountError):
        chart.subtree("assets:bank")
