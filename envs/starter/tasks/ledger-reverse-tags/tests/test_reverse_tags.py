from datetime import date

from ledger.transactions import Transaction

DAY = date(2024, 3, 1)


def test_reversal_has_its_own_tags():
    sale = Transaction(DAY, "Sale").tag("shop")
    sale.reverse(DAY).tag("storno")
    assert sale.tags == {"shop"}


def test_original_keeps_out_of_reversal():
    sale = Transaction(DAY, "Sale").tag("shop")
    undone = sale.reverse(DAY)
    sale.tag("late")
    assert undone.tags == {"shop"}


def test_tags_of_the_caller_are_not_changed():
    tags = {"shop"}
    Transaction(DAY, "Sale", tags=tags).tag("web")
    assert tags == {"shop"}


def test_reversal_takes_over_tags():
    sale = Transaction(DAY, "Sale").tag("shop")
    assert sale.reverse(DAY).tags == {"shop"}


def test_no_tags():
    assert Transaction(DAY, "Sale").tags == set()
