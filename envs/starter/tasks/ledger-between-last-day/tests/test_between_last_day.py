from datetime import date

import pytest

from ledger import Chart, Journal, Money, Transaction

FIRST, LAST = date(2024, 1, 1), date(2024, 1, 31)


@pytest.fixture
def journal():
    chart = Chart()
    chart.open("assets:cash")
    chart.open("income:sales")
    journal = Journal(chart)
    for day in (FIRST, LAST, date(2024, 2, 1)):
        sale = Transaction(day, f"{day}").add("assets:cash", Money(100))
        journal.post(sale.balance_with("income:sales"))
    return journal


def test_last_day_is_included(journal):
    assert [t.day for t in journal.between(FIRST, LAST)] == [FIRST, LAST]


def test_single_day(journal):
    assert [t.day for t in journal.between(LAST, LAST)] == [LAST]


def test_balance_at_end_of_day(journal):
    assert journal.balance("assets:cash", end=LAST) == Money(200)


def test_open_end(journal):
    assert len(journal.between(LAST)) == 2


def test_day_without_postings(journal):
    assert journal.between(date(2024, 1, 5), date(2024, 1, 9)) == []
