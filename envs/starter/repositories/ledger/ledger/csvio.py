"""Journals as CSV: one posting a line.

The columns are ``date,description,account,amount,currency,memo,tags``. Lines
that follow each other with the same date and description belong to one
transaction.
Tags are separated by ``;``. An empty currency means EUR.
"""

import csv
from datetime import date

from ledger.errors import CsvError, LedgerError
from ledger.money import Money
from ledger.transactions import Transaction

COLUMNS = ("date", "description", "account", "amount", "currency", "memo", "tags")


def _read_row(row, line):
    try:
        day = date.fromisoformat(row["date"].strip())
    except ValueError:
        raise CsvError(line, f"not a date: {row['date']!r}") from None
    currency = (row["currency"] or "").strip() or "EUR"
    try:
        amount = Money.parse(row["amount"], currency)
    except LedgerError as error:
        raise CsvError(line, str(error)) from error
    tags = [tag for tag in (row["tags"] or "").split(";") if tag.strip()]
    return day, amount, tags


def read_csv(file):
    """Read transactions from an open file; each one is checked."""
    reader = csv.DictReader(file)
    missing = set(COLUMNS) - {"memo", "tags"} - set(reader.fieldnames or ())
    if missing:
        raise CsvError(1, "missing columns: " + ", ".join(sorted(missing)))
    transactions = []
    current = None
    for row in reader:
        row = {"memo": "", "tags": "", **row}
        day, amount, tags = _read_row(row, reader.line_num)
        key = (day, row["description"])
        if current is None or key != (current.day, current.description):
            current = Transaction(day, row["description"])
            transactions.append(current)
        current.add(row["account"], amount, row["memo"] or "")
        current.tag(*tags)
    for transaction in transactions:
        transaction.check()
    return transactions


def write_csv(transactions, file):
    """Write transactions in the form that `read_csv` reads."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for transaction in transactions:
        tags = ";".join(sorted(transaction.tags))
        for posting in transaction.postings:
            writer.writerow(
                [
                    transaction.day.isoformat(),
                    transaction.description,
                    posting.account,
                    posting.amount.format(),
                    posting.amount.currency,
                    posting.memo,
                    tags,
                ]
            )
