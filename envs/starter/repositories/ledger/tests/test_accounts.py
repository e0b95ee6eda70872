from datetime import date

import pytest

from ledger.accounts import Chart, normalise, parent
from ledger.errors import AccountError


def test_normalise():
    assert normalise(" Assets : Cash") == "assets:cash"


@pytest.mark.parametrize("name", ["", "assets:", "toys:car"])
def test_normalise_rejects(name):
    with pytest.raises(AccountError):
        normalise(name)


def test_parent():
    assert parent("assets:bank:checking") == "assets:bank"
    assert parent("assets") is None


def test_open_creates_accounts_above():
    chart = Chart()
    chart.open("assets:bank:checking")
    assert chart.names() == ["assets", "assets:bank", "assets:bank:checking"]


def test_open_twice():
    chart = Chart()
    chart.open("assets:cash")
    with pytest.raises(AccountError):
        chart.open("Assets:Cash")


def test_close():
    chart = Chart()
    account = chart.open("assets:cash", date(2024, 1, 1))
    chart.close("assets:cash", date(2024, 6, 30))
    assert account.is_open(date(2024, 6, 30))
    assert not account.is_open(date(2024, 7, 1))


def test_subtree():
    chart = Chart()
    chart.open("assets:bank:checking")
    chart.open("income:sales")
    assert chart.subtree("assets:bank") == ["assets:bank", "assets:bank:checking"]
