import io
from datetime import date

import pytest

from ledger.csvio import write_csv
from ledger.errors import MoneyError
from ledger.money import Money
from ledger.transactions import Transaction


def exported(amount):
    out = io.StringIO()
    entry = Transaction(date(2024, 3, 1), "Tea").add("assets:cash", amount)
    write_csv([entry], out)
    return out.getvalue().splitlines()[1].split(",")[3]


def test_parse_yen():
    assert Money.parse("1,200", "JPY") == Money(1200, "JPY")


def test_parse_yen_takes_no_fraction():
    with pytest.raises(MoneyError):
        Money.parse("12.50", "JPY")


def test_parse_dinar():
    assert Money.parse("1.234", "BHD") == Money(1234, "BHD")


def test_export_yen():
    assert exported(Money(-1200, "JPY")) == "-1200"


def test_export_dinar():
    assert exported(Money(1234, "BHD")) == "1.234"


def test_export_euro():
    assert exported(Money(-5, "EUR")) == "-0.05"
