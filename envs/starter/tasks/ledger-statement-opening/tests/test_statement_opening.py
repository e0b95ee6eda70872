from datetime import date

import pytest

from ledger import Chart, Journal, Money, Transaction, statement

FEBRUARY = date(2024, 2, 1), date(2024, 2, 29)


@pytest.fixture
def journal():
    chart = Chart()
    chart.open("assets:bank")
    chart.open("income:pay")
    journal = Journal(chart)
    for day, cents in [
        (date(2024, 1, 15), 50000),
        (date(2024, 2, 1), 2000),
        (date(2024, 2, 20), -700),
    ]:
        entry = Transaction(day, "Pay").add("assets:bank", Money(cents))
        journal.post(entry.balance_with("income:pay"))
    return journal


def test_balance_starts_from_opening(journal):
    lines = statement(journal, "assets:bank", *FEBRUARY)
    assert [line.balance.minor for line in lines] == [52000, 51300]


def test_opening_balance_is_before_the_day(journal):
    assert journal.opening_balance("assets:bank", FEBRUARY[0]) == Money(50000)


def test_amounts(journal):
    lines = statement(journal, "assets:bank", *FEBRUARY)
    assert [line.amount.minor for line in lines] == [2000, -700]


def test_from_the_first_day(journal):
    lines = statement(journal, "assets:bank", date(2024, 1, 1), FEBRUARY[1])
    assert lines[-1].balance == Money(51300)
