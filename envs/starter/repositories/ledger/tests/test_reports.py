from datetime import date

from ledger import Chart, Journal, Money, Transaction
from ledger.reports import monthly_totals, net_income, render, statement, trial_balance

JANUARY, FEBRUARY = date(2024, 1, 10), date(2024, 2, 10)


def make_journal():
    chart = Chart()
    for name in ("assets:cash", "income:sales", "expenses:rent"):
        chart.open(name)
    journal = Journal(chart)
    for day, account, cents in [
        (JANUARY, "income:sales", 900),
        (JANUARY, "expenses:rent", -400),
        (FEBRUARY, "income:sales", 100),
    ]:
        entry = Transaction(day, account).add("assets:cash", Money(cents))
        journal.post(entry.balance_with(account))
    return journal


def test_trial_balance():
    rows = trial_balance(make_journal())
    assert rows[0] == ("assets:cash", Money(600), Money(0))
    assert rows[2] == ("income:sales", Money(0), Money(1000))


def test_statement():
    end = date(2024, 12, 31)
    lines = statement(make_journal(), "assets:cash", date(2024, 1, 1), end)
    assert [line.balance.minor for line in lines] == [900, 500, 600]


def test_monthly_totals():
    totals = monthly_totals(make_journal(), "income")
    assert totals == {"2024-01": Money(900), "2024-02": Money(100)}


def test_net_income():
    year = date(2024, 1, 1), date(2024, 12, 31)
    assert net_income(make_journal(), *year) == Money(600)


def test_render():
    text = render(trial_balance(make_journal()), width=16)
    assert text.splitlines()[-1].split() == ["total", "10.00", "10.00"]
