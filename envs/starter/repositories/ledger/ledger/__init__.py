"""Double-entry bookkeeping in plain Python."""

from ledger.accounts import Account, Chart
from ledger.csvio import read_csv, write_csv
from ledger.errors import LedgerError
from ledger.journal import Journal
from ledger.money import Money
from ledger.reports import monthly_totals, statement, trial_balance
from ledger.transactions import Posting, Transaction

__all__ = [
    "Account",
    "Chart",
    "Journal",
    "LedgerError",
    "Money",
    "Posting",
    "Transaction",
    "monthly_totals",
    "read_csv",
    "statement",
    "trial_balance",
    "write_csv",
]
