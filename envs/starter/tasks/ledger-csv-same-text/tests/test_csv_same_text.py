import io
from datetime import date

import pytest

from ledger.csvio import read_csv
from ledger.errors import UnbalancedError

HEAD = "date,description,account,amount,currency\n"


def rent(day, bank="-800.00"):
    return f"{day},Rent,expenses:rent,800.00,EUR\n{day},Rent,assets:bank,{bank},EUR\n"


def read(*parts):
    return read_csv(io.StringIO(HEAD + "".join(parts)))


def test_same_text_on_two_days():
    found = read(rent("2024-01-01"), rent("2024-02-01"))
    assert [t.day for t in found] == [date(2024, 1, 1), date(2024, 2, 1)]


def test_each_keeps_its_postings():
    found = read(rent("2024-01-01"), rent("2024-02-01"), rent("2024-03-01"))
    assert [len(t.postings) for t in found] == [2, 2, 2]


def test_each_day_is_checked():
    with pytest.raises(UnbalancedError):
        read(rent("2024-01-01", "-790.00"), rent("2024-02-01", "-810.00"))


def test_one_transaction():
    (found,) = read(rent("2024-01-01"))
    assert len(found.postings) == 2


def test_different_text_on_one_day():
    found = read(rent("2024-01-01"), rent("2024-01-01").replace("Rent", "Flat"))
    assert [t.description for t in found] == ["Rent", "Flat"]
