"""Amounts of money, kept as whole numbers of the smallest unit."""

import re
from dataclasses import dataclass

from ledger.errors import MoneyError

DECIMALS = {"EUR": 2, "USD": 2, "GBP": 2, "CHF": 2, "JPY": 0, "KRW": 0, "BHD": 3}

_AMOUNT = re.compile(r"(?P<sign>[+-]?)(?P<whole>\d[\d,]*)(\.(?P<fraction>\d+))?")


def decimals(currency):
    """How many digits after the point a currency has (2 when unknown)."""
    return DECIMALS.get(currency, 2)


def divide_half_up(number, divisor):
    """Divide whole numbers; halves are rounded away from zero."""
    quotient, rest = divmod(abs(number), abs(divisor))
    if 2 * rest >= abs(divisor):
        quotient += 1
    same_sign = (number < 0) == (divisor < 0)
    return quotient if same_sign else -quotient


@dataclass(frozen=True)
class Money:
    """`minor` units (cents, for most) of a currency."""

    minor: int
    currency: str = "EUR"

    @classmethod
    def parse(cls, text, currency="EUR"):
        """Read an amount such as ``-1,204.50``."""
        match = _AMOUNT.fullmatch(text.strip())
        if match is None:
            raise MoneyError(f"not an amount: {text!r}")
        places = decimals(currency)
        fraction = match["fraction"] or ""
        if len(fraction) > places:
            raise MoneyError(f"too many decimals for {currency}: {text!r}")
        whole = match["whole"].replace(",", "")
        minor = int(whole + fraction.ljust(places, "0"))
        return cls(-minor if match["sign"] == "-" else minor, currency)

    @classmethod
    def zero(cls, currency="EUR"):
        return cls(0, currency)

    def _check(self, other):
        if self.currency != other.currency:
            raise MoneyError(f"cannot mix {self.currency} and {other.currency}")

    def __add__(self, other):
        self._check(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other):
        self._check(other)
        return Money(self.minor - other.minor, self.currency)

    def __neg__(self):
        return Money(-self.minor, self.currency)

    def __lt__(self, other):
        self._check(other)
        return self.minor < other.minor

    def __bool__(self):
        return self.minor != 0

    def percent(self, rate):
        """`rate` percent of the amount, rounded half away from zero."""
        return Money(divide_half_up(self.minor * rate, 100), self.currency)

    def split(self, parts):
        """Split into `parts` amounts that differ by one unit at most.

        The larger shares come first, and the shares sum to the whole.
        """
        if parts < 1:
            raise MoneyError("cannot split into fewer than one part")
        share, rest = divmod(self.minor, parts)
        shares = [share + 1] * rest + [share] * (parts - rest)
        return [Money(minor, self.currency) for minor in shares]

    def format(self, thousands=False):
        """The amount without its currency, such as ``-1204.50``."""
        places = decimals(self.currency)
        sign = "-" if self.minor < 0 else ""
        whole, fraction = divmod(abs(self.minor), 10**places)
        digits = f"{whole:,}" if thousands else str(whole)
        if places:
            digits += f".{fraction:0{places}d}"
        return sign + digits

    def __str__(self):
        return f"{self.format(thousands=True)} {self.currency}"
