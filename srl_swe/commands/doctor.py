"""``srl-swe doctor``."""

from __future__ import annotations

from rich.text import Text

from srl_swe.commands.output import print_table

_STYLES = {"ok": "green", "warning": "yellow", "missing": "red"}


def doctor() -> int:
    """Show what is there and what is missing. Changes nothing; exits with 1 if something needed is missing."""
    from srl_swe.sandbox.doctor import diagnose

    rows = diagnose()
    print_table(
        ["what", "status", "detail"], [(r.name, Text(r.status, style=_STYLES[r.status]), r.detail) for r in rows]
    )
    return 1 if any(row.status == "missing" for row in rows) else 0
