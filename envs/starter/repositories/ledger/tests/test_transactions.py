from datetime import date

import pytest

from ledger.errors import UnbalancedError
from ledger.money import Money
from ledger.transactions import Transaction

DAY = date(2024, 3, 1)


def sale():
    return Transaction(DAY, "Sale").add("assets:cash", Money(500))


def test_check():
    with pytest.raises(UnbalancedError, match="5.00 EUR"):
        sale().check()


def test_balance_with():
    transaction = sale().balance_with("income:sales")
    transaction.check()
    assert transaction.postings[1].amount == Money(-500)


def test_tag():
    assert sale().tag(" Shop", "web").tags == {"shop", "web"}


def test_reverse():
    undone = sale().reverse(date(2024, 3, 2))
    assert undone.description == "Reversal: Sale"
    assert undone.postings[0].amount == Money(-500)
