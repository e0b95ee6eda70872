import io

import pytest

from ledger.csvio import read_csv, write_csv
from ledger.errors import CsvError

TEXT = """\
date,description,account,amount,currency,memo,tags
2024-03-01,Mugs,assets:cash,18.00,EUR,till,shop;web
2024-03-01,Mugs,income:sales,-18.00,EUR,,shop;web
"""


def test_read():
    (sale,) = read_csv(io.StringIO(TEXT))
    assert sale.tags == {"shop", "web"}
    assert [p.amount.minor for p in sale.postings] == [1800, -1800]


def test_round_trip():
    out = io.StringIO()
    write_csv(read_csv(io.StringIO(TEXT)), out)
    assert out.getvalue() == TEXT


def test_bad_date_names_line():
    with pytest.raises(CsvError, match="line 3"):
        read_csv(io.StringIO(TEXT.replace("2024-03-01,Mugs,income", "soon,Mugs,income")))


def test_missing_columns():
    with pytest.raises(CsvError, match="amount"):
        read_csv(io.StringIO("date,description,account,currency\n"))
