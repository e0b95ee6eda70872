import pytest

from ledger.errors import MoneyError
from ledger.money import Money


def minors(amount, parts):
    return [share.minor for share in Money(amount).split(parts)]


def test_rest_is_spread():
    assert minors(100, 6) == [17, 17, 17, 17, 16, 16]


def test_larger_shares_first():
    assert minors(100, 3) == [34, 33, 33]


def test_negative_amount():
    assert minors(-100, 3) == [-33, -33, -34]


def test_even_split():
    assert minors(90, 3) == [30, 30, 30]


def test_no_parts():
    with pytest.raises(MoneyError):
        Money(100).split(0)
