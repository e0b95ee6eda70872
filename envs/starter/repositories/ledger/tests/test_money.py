import pytest

from ledger.errors import MoneyError
from ledger.money import Money, divide_half_up


@pytest.mark.parametrize(
    "text, minor", [("12.50", 1250), ("-3", -300), ("1,204.5", 120450), ("+0.07", 7)]
)
def test_parse(text, minor):
    assert Money.parse(text).minor == minor


@pytest.mark.parametrize("text", ["", "abc", "1.234", "--2"])
def test_parse_rejects(text):
    with pytest.raises(MoneyError):
        Money.parse(text)


def test_arithmetic():
    assert Money(250) + Money(50) - Money(100) == Money(200)
    assert -Money(5) < Money(0)


def test_currencies_do_not_mix():
    with pytest.raises(MoneyError):
        Money(1, "EUR") + Money(1, "USD")


def test_divide_half_up():
    assert divide_half_up(5, 2) == 3
    assert divide_half_up(-5, 2) == -3
    assert divide_half_up(4, 3) == 1


def test_percent():
    assert Money(1050).percent(10) == Money(105)


def test_split_sums_to_whole():
    shares = Money(1001).split(2)
    assert sum(share.minor for share in shares) == 1001


def test_str():
    assert str(Money(123456)) == "1,234.56 EUR"
    assert str(Money(-5)) == "-0.05 EUR"
